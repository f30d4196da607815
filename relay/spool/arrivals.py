"""Putting messages: their rows, written for all that came into one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relay.spool.checksum import chunk_row
from relay.spool.claims import LEASE, lease_row
from relay.spool.contents import StoredContent
from relay.spool.contract import Arrival, Taker
from relay.spool.notation import message_row, recipient_rows, spooled_message, spooled_recipients
from relay.spool.records import Claim, Lease, RecipientState
from relay.spool.transaction import Transaction

_QUEUED, _IN_FLIGHT = RecipientState.QUEUED.value, RecipientState.IN_FLIGHT.value


@dataclass(frozen=True, slots=True)
class Handing:
    """Who gets a message as it is put, with which lease and content."""

    taker: Taker
    token: str
    content: StoredContent


@dataclass(frozen=True, slots=True)
class Parcel:
    """An arrival with its rows. `chunks` are those not written yet; `provisional` where a draft began the content.

    `handing` None: it is queued.
    """

    arrival: Arrival
    content: str
    due_at: int
    message: tuple[Any, ...]
    recipients: list[tuple[Any, ...]]
    chunks: list[tuple[str, int, bytes]]
    provisional: bool
    handing: Handing | None


def parcel_of(
    arrival: Arrival, content: str, chunks: list[tuple[str, int, bytes]], now: int, handing: Handing | None = None
) -> Parcel:
    """Make the rows. What is put is due at once; among what is due the oldest goes first."""
    due_at = min(arrival.accepted_at, now)
    provisional = content != arrival.id
    rows = recipient_rows(arrival, content, due_at, handing.token if handing else None)
    return Parcel(arrival, content, due_at, message_row(arrival, content), rows, chunks, provisional, handing)


def put(transaction: Transaction, parcels: Sequence[Parcel]) -> list[None]:
    """Write the parcels: wholly, or not at all."""
    cursor, statements = transaction.cursor, transaction.statements
    cursor.insert(statements.put_message, [parcel.message for parcel in parcels])
    cursor.insert(statements.put_recipient, [row for parcel in parcels for row in parcel.recipients])
    chunks = [chunk_row(*chunk) for parcel in parcels for chunk in parcel.chunks]
    if chunks:
        cursor.insert(statements.put_chunk, chunks)
    named = [(parcel.content,) for parcel in parcels if parcel.provisional]
    if named:
        cursor.many(statements.name_content, named)
    handed: list[tuple[Handing, Claim]] = []
    for parcel in parcels:
        upstream, handing = parcel.arrival.candidates[0], parcel.handing
        transaction.count_message(parcel.arrival.origin.client, 1)
        if handing is not None:
            transaction.count(upstream, _IN_FLIGHT, len(parcel.recipients))
            handed.append((handing, _claim_of(transaction, parcel, handing)))
            continue
        transaction.count(upstream, _QUEUED, len(parcel.recipients))
        transaction.expect(upstream, parcel.due_at)
        transaction.kept += [(key, octets) for key, number, octets in parcel.chunks if number == 0]
    if handed:
        cursor.insert(statements.put_lease, [lease_row(claim) for _, claim in handed])
        transaction.after.append(lambda: _hand_over(handed))
    return [None] * len(parcels)


def _claim_of(transaction: Transaction, parcel: Parcel, handing: Handing) -> Claim:
    arrival = parcel.arrival
    lease = Lease(transaction.identifiers.node, handing.token, transaction.now + LEASE)
    recipients = spooled_recipients(arrival, parcel.due_at)
    return Claim(spooled_message(arrival), arrival.candidates[0], recipients, lease, handing.content, whole=True)


def _hand_over(handed: Sequence[tuple[Handing, Claim]]) -> None:
    takers: dict[Taker, list[Claim]] = {}
    for handing, claim in handed:
        takers.setdefault(handing.taker, []).append(claim)
    for taker, claims in takers.items():
        taker.take(claims)

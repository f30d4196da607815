"""Putting messages: their rows, written for all that came into one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relay.spool.contract import Arrival
from relay.spool.notation import message_row, recipient_rows
from relay.spool.records import RecipientState
from relay.spool.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Parcel:
    """An arrival with its rows. `chunks` are those not written yet; `provisional` where a draft began the content."""

    arrival: Arrival
    content: str
    due_at: int
    message: tuple[Any, ...]
    recipients: list[tuple[Any, ...]]
    chunks: list[tuple[str, int, bytes]]
    provisional: bool


def parcel_of(arrival: Arrival, content: str, chunks: list[tuple[str, int, bytes]], now: int) -> Parcel:
    """Make the rows. What is put is due at once; among what is due the oldest goes first."""
    due_at = min(arrival.accepted_at, now)
    provisional = content != arrival.id
    return Parcel(
        arrival, content, due_at, message_row(arrival, content), recipient_rows(arrival, due_at), chunks, provisional
    )


def put(transaction: Transaction, parcels: Sequence[Parcel]) -> list[None]:
    """Write the parcels: wholly, or not at all."""
    cursor, statements = transaction.cursor, transaction.statements
    cursor.many(statements.put_message, [parcel.message for parcel in parcels])
    cursor.many(statements.put_recipient, [row for parcel in parcels for row in parcel.recipients])
    chunks = [chunk for parcel in parcels for chunk in parcel.chunks]
    if chunks:
        cursor.many(statements.put_chunk, chunks)
    named = [(parcel.content,) for parcel in parcels if parcel.provisional]
    if named:
        cursor.many(statements.name_content, named)
    transaction.kept += [(key, octets) for key, number, octets in chunks if number == 0]
    for parcel in parcels:
        upstream = parcel.arrival.candidates[0]
        transaction.count(upstream, RecipientState.QUEUED.value, len(parcel.recipients))
        transaction.count_message(parcel.arrival.origin.client, 1)
        transaction.expect(upstream, parcel.due_at)
    return [None] * len(parcels)

"""A client's own deadline, which unlike `queue.give_up` does not stand still while its upstream is held. Pure."""

from __future__ import annotations

from dataclasses import replace

from relay.config.settings import Settings
from relay.spool.records import Claim


def within_deadline(claim: Claim, settings: Settings) -> Claim:
    """Return the claim, to be given up at the deadline at the latest: what comes later is of no use to its recipient.

    Where there is none of the client's own it is the same, and so are notices.
    """
    over_at = _deadline_of(claim, settings)
    if over_at is None:
        return claim
    rows = tuple(replace(row, give_up_at=min(row.give_up_at, over_at)) for row in claim.recipients)
    return replace(claim, recipients=rows)


def past_deadline(claim: Claim, settings: Settings, now: int) -> bool:
    """Return whether the client's own deadline is over, and nobody has asked for an attempt since."""
    over_at = _deadline_of(claim, settings)
    return over_at is not None and all(row.next_attempt_at < over_at <= now for row in claim.recipients)


def _deadline_of(claim: Claim, settings: Settings) -> int | None:
    client = settings.client.get(claim.message.origin.client)
    deadline = client.deadline if client is not None else None
    if deadline is None or deadline >= settings.queue.give_up or claim.message.notice:
        return None
    return claim.message.accepted_at + round(1000 * deadline)

"""When a claim is over: while its upstream is held `queue.give_up` stands still, and a client's deadline does not.

What `queue.give_up` is over for is tried once more where its upstream takes mail: the relay may have stood still, or
its clock been wrong. Behind a client's deadline nothing is sent.
"""

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


def missed(claim: Claim, settings: Settings, now: int) -> bool:
    """True where an attempt was due, and the client's deadline over before it could be made, for every recipient."""
    over_at = _deadline_of(claim, settings)
    return over_at is not None and all(row.next_attempt_at < over_at <= now for row in claim.recipients)


def out_of_time(claim: Claim, now: int) -> bool:
    """True where the time of every recipient is over."""
    return all(row.give_up_at <= now for row in claim.recipients)


def while_held(claim: Claim, since_at: int, now: int) -> Claim:
    """Return the claim of an upstream that has been held since then: the time does not count, though it goes on."""
    held = now - max(since_at, claim.message.accepted_at)
    rows = tuple(replace(row, give_up_at=row.give_up_at + held) for row in claim.recipients)
    return replace(claim, recipients=rows)


def _deadline_of(claim: Claim, settings: Settings) -> int | None:
    client = settings.client.get(claim.message.origin.client)
    deadline = client.deadline if client is not None else None
    if deadline is None or deadline >= settings.queue.give_up or claim.message.notice:
        return None
    return claim.message.accepted_at + round(1000 * deadline)

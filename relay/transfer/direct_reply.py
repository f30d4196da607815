"""What a client hears that waits for the upstream's own answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from relay.reply import EnhancedStatus, Reply, reply
from relay.spool.records import Gate
from relay.transfer.outcome import Failed, Hold, Outcome, Relayed, Scope, Uncertain

NO_TURN: Final = reply(451, "4.4.5", "No connection to the upstream became free in time, try again later")
LIMIT_REACHED: Final = reply(451, "4.4.5", "The upstream's limit is reached, try again later")
NOT_REACHED: Final = reply(451, "4.4.1", "The upstream cannot be reached, try again later")
TOO_SLOW: Final = reply(451, "4.4.2", "The upstream took too long, nothing was sent; try again later")
NO_ANSWER: Final = reply(451, "4.4.2", "The upstream did not answer in time; it may have taken the message")
TOO_OFTEN_UNCERTAIN: Final = reply(
    554, "5.4.2", "The upstream never answered to this message; it may have taken it, and is not offered it again"
)
STOPPING: Final = reply(451, "4.3.2", "Service shutting down, try again later")
OUR_FAULT: Final = reply(451, "4.3.0", "Local error, try again later")
NO_UPSTREAM: Final = reply(451, "4.3.5", "The upstream is not configured any more, try again later")

_UNSAFE: Final = re.compile(r"[^\x20-\x7e]")
_LINES: Final = 20
_LINE: Final = 450
"""Octets of text in a line: with code, status and ID within the 512 of RFC 5321 §4.5.3.1.5."""

_CLOSING: Final = 421


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said after the final dot. `taken`: relayed to somebody, so that the client must not repeat it."""

    reply: Reply
    taken: bool


def answer_to(outcomes: Sequence[Outcome]) -> Answer:
    """Return the one reply that SMTP has room for.

    Relayed to one: 250, since a repetition would reach that one twice. To none: an end that may go otherwise next time
    wins over a lasting one, and of several alike the first recipient's is told.
    """
    for one in outcomes:
        if isinstance(one, Relayed):
            return Answer(one.reply, taken=True)
    if any(isinstance(one, Uncertain) for one in outcomes):
        return Answer(NO_ANSWER, taken=False)
    for one in outcomes:
        if not isinstance(one, Uncertain) and not lasting(one):
            held = f"The upstream is held ({one.reason})" if isinstance(one, Hold) else "Try again later"
            return Answer(softened(one.reply, held), taken=False)
    told = (one.reply for one in outcomes if not isinstance(one, Uncertain))
    return Answer(unclosing(next(told, OUR_FAULT)), taken=False)


def lasting(outcome: Outcome) -> bool:
    """True where the same message would be refused again: it is itself at fault, or its From."""
    return isinstance(outcome, Failed) or (isinstance(outcome, Hold) and outcome.scope is Scope.SENDER)


def held_by(gate: Gate) -> Reply:
    """Return what is said while an upstream is held."""
    held = f"The upstream is held ({gate.reason})"
    return softened(gate.reply, held) if gate.reply else reply(451, "4.3.2", f"{held}, try again later")


def softened(said: Reply, why: str) -> Reply:
    """Return a reply of class 4: the upstream's own where it is one, else one that quotes it.

    552 becomes 452, RFC 5321 §4.5.3.1.10; the enhanced status keeps its subject and detail.
    """
    if said.transient:
        return unclosing(said)
    status = said.status or EnhancedStatus(4, 0, 0)
    quoted = " ".join(str(said).split())
    return Reply(452 if said.code == 552 else 451, replace(status, severity=4), f"{why}: {quoted}", said.said_by)


def unclosing(said: Reply) -> Reply:
    """Return the reply without the promise to close the connection: it was the upstream's that was closed."""
    return replace(said, code=451) if said.code == _CLOSING else said


def passed_on(said: Reply, message_id: str) -> Reply:
    """Return a reply as the client may get it: the ID behind it, ASCII only, and of bounded length."""
    lines = [_UNSAFE.sub("?", line.replace("\t", " "))[:_LINE].rstrip() for line in said.text.split("\n")]
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], lines[-1]]
    lines[-1] = f"{lines[-1]} ({message_id})".lstrip()
    return replace(said, text="\n".join(lines))

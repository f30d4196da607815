"""What came of one recipient in one attempt."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from relay.reply import Reply
from relay.spool.records import HoldReason
from relay.upstream.contract import Phase


class Scope(enum.StrEnum):
    """What a hold concerns: everything that goes by the upstream, or only mail with this message's From."""

    UPSTREAM = "upstream"
    SENDER = "sender"


@dataclass(frozen=True, slots=True)
class Relayed:
    """The upstream took it over."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Deferred:
    """Later it may go.

    `row`: key of the row that said so, or the cause. `slower`: the upstream complains of too many connections.
    `hold_after`: seconds for which the same row may come again before the upstream is held for `reason`.
    """

    reply: Reply
    row: str = ""
    slower: bool = False
    hold_after: float | None = None
    reason: HoldReason | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """It will never go: the message or its recipient is at fault; `row` as in `Deferred`."""

    reply: Reply
    row: str = ""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The conversation ended without an answer to the final dot: the message may or may not have been taken."""

    phase: Phase = Phase.FINAL_DOT


@dataclass(frozen=True, slots=True)
class Hold:
    """The account is at fault, not the message: nothing bounces."""

    reply: Reply
    reason: HoldReason
    scope: Scope = Scope.UPSTREAM


Outcome: TypeAlias = Relayed | Deferred | Failed | Uncertain | Hold

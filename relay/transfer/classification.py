"""What a reply means for the message: the first row of `replies.toml` that fits decides."""

from __future__ import annotations

import enum
import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from relay.config.providers import Provider
from relay.reply import EnhancedStatus, Reply
from relay.spool.records import HoldReason
from relay.transfer.outcome import Deferred, Failed, Hold, Outcome, Scope
from relay.upstream.contract import Cause, Phase

Named = Literal["sender", "recipient", "other", "nobody"]

_STATUS_RANGE = re.compile(r"(\d)\.(\d+)\.(?:(\d+)(?:-(\d+))?|\*)")


class Stage(enum.StrEnum):
    """The part of a conversation in which a reply was said, as coarse as the table needs."""

    TOKEN = "token"  # noqa: S105 - a stage, not a password
    OPENING = "opening"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


def stage_of(phase: Phase) -> Stage:
    """Return the stage that a phase belongs to."""
    if phase <= Phase.TOKEN:
        return Stage.TOKEN
    if phase <= Phase.STARTTLS:
        return Stage.OPENING
    return {Phase.AUTH: Stage.AUTH, Phase.MAIL: Stage.MAIL, Phase.RCPT: Stage.RCPT}.get(phase, Stage.DATA)


@dataclass(frozen=True, slots=True)
class Occasion:
    """A reply and where it was said; `named` tells who of the envelope occurs in its text."""

    provider: Provider
    stage: Stage
    reply: Reply
    named: Named = "nobody"


@dataclass(frozen=True, slots=True)
class _StatusRange:
    severity: int
    subject: int
    lowest: int
    highest: int

    def holds(self, status: EnhancedStatus | None) -> bool:
        return (
            status is not None
            and (status.severity, status.subject) == (self.severity, self.subject)
            and self.lowest <= status.detail <= self.highest
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table; an empty condition fits everything."""

    key: str
    providers: frozenset[str]
    stages: frozenset[str]
    codes: frozenset[int]
    statuses: tuple[_StatusRange, ...]
    or_text: re.Pattern[str] | None
    text: re.Pattern[str] | None
    named: str | None
    result: Literal["permanent", "transient", "hold"]
    reason: HoldReason | None
    scope: Scope
    slower: bool
    hold_after: float | None

    def fits(self, occasion: Occasion, text: str) -> bool:
        """True where every condition holds; `text` is the reply's in one line."""
        reply = occasion.reply
        return (
            (not self.providers or occasion.provider in self.providers)
            and (not self.stages or occasion.stage in self.stages)
            and (not self.codes or reply.code in self.codes)
            and (not self.statuses or self._status_fits(reply, text))
            and (self.named is None or self.named == occasion.named)
            and (self.text is None or self.text.search(text) is not None)
        )

    def _status_fits(self, reply: Reply, text: str) -> bool:
        if reply.status is not None or self.or_text is None:
            return any(status.holds(reply.status) for status in self.statuses)
        of_this_class = any(status.severity == reply.code // 100 for status in self.statuses)
        return of_this_class and self.or_text.search(text) is not None

    def outcome(self, reply: Reply) -> Outcome:
        """Return what the row makes of a reply."""
        if self.result == "permanent":
            return Failed(reply, self.key)
        if self.result == "hold" and self.reason is not None:
            return Hold(reply, self.reason, self.scope)
        return Deferred(reply, self.key, self.slower, self.hold_after, self.reason)


@functools.cache
def rows() -> tuple[Row, ...]:
    """Return the table, in its order."""
    text = resources.files("relay.transfer").joinpath("replies.toml").read_text("utf-8")
    return tuple(_row(key, entry) for key, entry in tomllib.loads(text).items())


def row_for(occasion: Occasion) -> Row:
    """Return the first row that fits; the last one fits everything."""
    text = " ".join(occasion.reply.text.split())
    return next(row for row in rows() if row.fits(occasion, text))


def outcome_for(occasion: Occasion, cause: Cause | None = None) -> Outcome:
    """Return what a negative reply means; `cause` where the reply is ours, because the server gave none."""
    reply = occasion.reply
    if cause is Cause.SENDER_NOT_ALLOWED:
        return Hold(reply, HoldReason.SEND_AS, Scope.SENDER)
    if cause in _HOLDS:
        return Hold(reply, _HOLDS[cause])
    if cause in _FAILURES:
        return Failed(reply, str(cause))
    if cause is not None and cause is not Cause.TOKEN_REFUSED:
        return Deferred(reply, cause.value)
    return row_for(occasion).outcome(reply)


_HOLDS: Mapping[Cause | None, HoldReason] = {
    Cause.SECRET_UNAVAILABLE: HoldReason.SECRET,
    Cause.AUTH_MISSING: HoldReason.AUTH,
    Cause.PROXY_SECRET_UNAVAILABLE: HoldReason.SECRET,
    Cause.PROXY_LOGIN_REFUSED: HoldReason.SECRET,
}
_FAILURES = frozenset({Cause.SMTPUTF8_MISSING, Cause.TOO_LARGE, Cause.NOT_CARRIED})


def _row(key: str, entry: Mapping[str, Any]) -> Row:
    unknown = entry.keys() - _KEYS
    if unknown:
        raise ValueError(f"replies.toml: {key}: unknown {', '.join(sorted(unknown))}")
    return Row(
        key=key,
        providers=frozenset(_several(entry.get("provider", ()))),
        stages=frozenset(Stage(stage) for stage in _several(entry.get("stage", ()))),
        codes=frozenset(code for given in _several(entry.get("code", ())) for code in _codes(given)),
        statuses=tuple(_status_range(given) for given in _several(entry.get("status", ()))),
        or_text=_pattern(entry.get("or_text")),
        text=_pattern(entry.get("text")),
        named=entry.get("names"),
        result=entry["class"],
        reason=HoldReason(entry["reason"]) if "reason" in entry else None,
        scope=Scope(entry.get("scope", "upstream")),
        slower=entry.get("slower", False),
        hold_after=entry.get("hold_after"),
    )


_KEYS = frozenset(
    "provider stage code status or_text text names class reason scope slower hold_after".split()  # noqa: SIM905
)


def _pattern(given: str | None) -> re.Pattern[str] | None:
    return None if given is None else re.compile(given, re.IGNORECASE)


def _several(value: Any) -> Iterable[Any]:
    return (value,) if isinstance(value, str | int) else value


def _codes(given: int | str) -> Iterable[int]:
    if isinstance(given, int):
        return (given,)
    hundred = int(given.removesuffix("xx")) * 100
    return range(hundred, hundred + 100)


def _status_range(given: str) -> _StatusRange:
    found = _STATUS_RANGE.fullmatch(given)
    if found is None:
        raise ValueError(f"replies.toml: no enhanced status: {given}")
    lowest = int(found[3]) if found[3] else 0
    highest = int(found[4] or found[3]) if found[3] else 999
    return _StatusRange(int(found[1]), int(found[2]), lowest, highest)

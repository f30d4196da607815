"""What people who run Relay are told, and how it reads: in a mail, and as the JSON that a webhook gets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from relay.address import Disclosure, shown_text
from relay.diagnosis.diagnosis import Diagnosis, lines_of
from relay.reply import Reply
from relay.spool.records import Gate, HoldReason, SpooledMessage
from relay.transfer.detour import Detour

Event: TypeAlias = Literal[
    "held", "stuck", "failover", "message_held", "expiring", "expired", "quota", "over", "renewed"
]

FAILOVER: Final = "failover"

_DAY = 86_400_000

_NOTHING_TO_DO: Final[Mapping[str, Any]] = {"title": None, "cause": None, "actor": None, "actions": [], "link": None}


@dataclass(frozen=True, slots=True)
class Alert:
    """`about` is an upstream, or what ends; `reason` why. `over` and `renewed` tell that it needs nobody any more."""

    event: Event
    about: str
    reason: str
    since_at: int
    subject: str
    opening: str
    closing: str = ""
    upstream: str | None = None
    diagnosis: Diagnosis | None = None
    said: Reply | None = None

    @property
    def text(self) -> str:
        """The mail's text, its lines ended by CRLF."""
        if self.diagnosis is None:
            return f"{self.opening}\r\n"
        closing = f"\r\n{self.closing}\r\n" if self.closing else ""
        return f"{self.opening}\r\n\r\n{_told(self.diagnosis, self.said)}{closing}"

    def shape(self, hostname: str, at: int, disclosure: Disclosure) -> dict[str, Any]:
        """Return what a webhook gets, addresses in it as the log shows them."""
        shape = {
            "event": self.event,
            "host": hostname,
            "time": _instant(at),
            "upstream": self.upstream,
            "what": self.about,
            "reason": self.reason,
            "since": _instant(self.since_at),
            **(self.diagnosis.shape() if self.diagnosis is not None else _NOTHING_TO_DO),
            "reply": str(self.said) if self.said is not None else None,
            "text": f"{hostname}: {self.opening}",
        }
        return {key: _disclosed(value, disclosure) for key, value in shape.items()}


def held(gate: Gate, diagnosis: Diagnosis) -> Alert:
    """An upstream is held."""
    return Alert(
        "held",
        gate.upstream,
        gate.reason.value,
        gate.since_at,
        f"Relay: {gate.upstream} is held ({gate.reason})",
        f"The upstream {gate.upstream} is held: {diagnosis.title}.",
        "No mail is lost: it is accepted and kept, nothing bounces, and the upstream is tried again by itself.\r\n"
        f'"relay explain {gate.upstream}" says how it stands then; '
        f'"relay queue release --upstream {gate.upstream}" tries again.',
        gate.upstream,
        diagnosis,
        gate.reply,
    )


def stuck(upstream: str, minutes: int, at: int, diagnosis: Diagnosis, said: Reply | None) -> Alert:
    """Mail waits for an upstream that could not be reached for so many minutes."""
    return Alert(
        "stuck",
        upstream,
        "stuck",
        at - 60_000 * minutes,
        f"Relay: mail for {upstream} is stuck",
        f"The upstream {upstream} could not be reached for {minutes} minutes: {diagnosis.title}.",
        f'Its mail is kept, and tried again and again. "relay explain {upstream}" says how it stands then.',
        upstream,
        diagnosis,
        said,
    )


def failing_over(
    upstream: str, ways: Sequence[Detour], since_at: int, diagnosis: Diagnosis, said: Reply | None
) -> Alert:
    """The mail of clients goes by other upstreams meanwhile."""
    clients: dict[str, list[str]] = {}
    for one in ways:
        if one.by is not None:
            clients.setdefault(one.by, []).append(one.client)
    told = ", and ".join(f"{', '.join(names)} goes by {by}" for by, names in clients.items())
    return Alert(
        "failover",
        upstream,
        FAILOVER,
        since_at,
        f"Relay: mail goes by {', '.join(clients)} instead of {upstream}",
        f"Mail of {told} meanwhile, since {upstream} does not take it: {diagnosis.title}.",
        f"It goes by {upstream} again as soon as that works. What may not be sent as its From by another upstream "
        f'waits; "relay queue list --upstream {upstream}" shows it.',
        upstream,
        diagnosis,
        said,
    )


def message_held(
    upstream: str, reason: HoldReason, message: SpooledMessage, at: int, diagnosis: Diagnosis, said: Reply | None
) -> Alert:
    """A message waits for a person."""
    return Alert(
        "message_held",
        upstream,
        reason.value,
        at,
        f"Relay: a message is held ({reason})",
        f"A message from {message.header_from or '(nobody)'} is held: {diagnosis.title}.",
        f'"relay queue show {message.id}" shows it, "relay queue release {message.id}" sends it again, and '
        f'"relay queue remove {message.id}" gives it up. Others of this kind are not told of for a day.',
        upstream,
        diagnosis,
        said,
    )


def over(upstream: str, causes: str, since_at: int) -> Alert:
    """An upstream works again."""
    return Alert(
        "over",
        upstream,
        causes,
        since_at,
        f"Relay: {upstream} works again",
        f"The upstream {upstream} works again (it was: {causes}). What waited is being sent.",
        upstream=upstream,
    )


def ends(what: str, kind: str, upstream: str | None, expires_at: int, at: int, diagnosis: Diagnosis) -> Alert:
    """A secret or certificate ends soon, or has ended."""
    thing, day = f"The {kind.replace('_', ' ')} {what}", _instant(expires_at)[:10]
    past = expires_at <= at
    days = abs(expires_at - at) // _DAY
    when = f"ended on {day}" if past else f"ends on {day}, in {days} {'day' if days == 1 else 'days'}"
    return Alert(
        "expired" if past else "expiring",
        what,
        kind,
        expires_at if past else at,
        f"Relay: {what} {'has ended' if past else f'ends on {day}'}",
        f"{thing} {when}.",
        '"relay status" shows what else ends, and when.',
        upstream,
        diagnosis,
    )


def renewed(what: str, kind: str, upstream: str | None, expires_at: int, told_at: int) -> Alert:
    """What was to end has been renewed; `told_at` is when it would have ended."""
    day = _instant(expires_at)[:10]
    return Alert(
        "renewed",
        what,
        kind,
        told_at,
        f"Relay: {what} was renewed",
        f"The {kind.replace('_', ' ')} {what} was renewed, and goes on until {day}.",
        upstream=upstream,
    )


def nearly_used(upstream: str, quota: str, used: int, limit: int, at: int, diagnosis: Diagnosis) -> Alert:
    """A daily limit is nearly used up."""
    of = f"{used} of {limit} {quota.replace('_', ' ')}"
    return Alert(
        "quota",
        upstream,
        quota,
        at,
        f"Relay: {upstream} has used {of}",
        f"The upstream {upstream} has used {of}.",
        "This is told once in 24 hours.",
        upstream,
        diagnosis,
    )


def _told(diagnosis: Diagnosis, said: Reply | None) -> str:
    """Return the lines of a diagnosis, and the words on which it rests."""
    by = f"{said.said_by} said" if said is not None and said.said_by != "relay" else "What happened"
    quoted = [f"{by}: {said}"] if said is not None else []
    return "".join(f"{line}\r\n" for line in (*lines_of(diagnosis.shape()), *quoted))


def _disclosed(value: Any, disclosure: Disclosure) -> Any:
    if isinstance(value, list):
        return [_disclosed(each, disclosure) for each in value]
    return shown_text(value, disclosure) if isinstance(value, str) else value


def _instant(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

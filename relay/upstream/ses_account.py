"""What Amazon SES says of the account (GetAccount, GetEmailIdentity), and how fast that lets us send. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.reply import Reply, reply
from relay.upstream.failures import ConversationEnded


@dataclass(frozen=True, slots=True)
class SesAccount:
    """`per_day` recipients in 24 hours (-1: no limit), `sent` of them; `per_second` recipients."""

    per_day: float
    per_second: float
    sent: float
    sandbox: bool
    enabled: bool

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> SesAccount:
        """Read GetAccount's answer; what is missing is no limit."""
        quota = answer.get("SendQuota") or {}
        return cls(
            per_day=float(quota.get("Max24HourSend", -1)),
            per_second=float(quota.get("MaxSendRate", 0)),
            sent=float(quota.get("SentLast24Hours", 0)),
            sandbox=answer.get("ProductionAccessEnabled") is False,
            enabled=answer.get("SendingEnabled") is not False,
        )

    @property
    def used_up(self) -> bool:
        """True where nothing more is taken until the window has moved on."""
        return 0 <= self.per_day <= self.sent

    def __str__(self) -> str:
        day = f"{self.sent:.0f} of {self.per_day:.0f} recipients in 24 hours" if self.per_day >= 0 else "no daily limit"
        rate = f", {self.per_second:g} a second" if self.per_second else ""
        return f"{day}{rate}{', in the sandbox' if self.sandbox else ''}"

    def refusal(self, host: str) -> Reply | None:
        """Return what it would say to a message now; None where it takes one."""
        if not self.enabled:
            return reply(554, "", "Sending paused: Email sending is disabled for the account", host)
        if self.used_up:
            return reply(454, "", f"Throttling failure: Daily message quota exceeded ({self})", host)
        return None


@dataclass(slots=True)
class SesExamination:
    """How far a look at the account came. `ended` is what ended it; `account` None where it may not be looked at.

    `identity`: whose credentials; `senders` by address: whether they are verified, None where SES does not tell.
    """

    identity: str = ""
    ended: ConversationEnded | None = None
    account: SesAccount | None = None
    senders: dict[str, bool | None] = field(default_factory=dict)


class Pace:
    """Spaces messages so that a second has no more recipients than allowed. Seconds on the caller's clock."""

    def __init__(self) -> None:
        self._next = 0.0

    def wait(self, recipients: int, per_second: float, now: float) -> float:
        """Count a message, and return the seconds that it has to wait."""
        if per_second <= 0:
            return 0.0
        begins = max(self._next, now)
        self._next = begins + recipients / per_second
        return begins - now

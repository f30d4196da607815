"""What Amazon SES's API answers, as a reply of SMTP: in its SMTP endpoint's words, so that one table serves both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.reply import Reply, parse_reply
from relay.upstream.contract import Phase

_SIGNATURE: Final = frozenset(
    {
        "ExpiredToken",
        "RequestExpired",
        "InvalidSignature",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "InvalidClientTokenId",
        "UnrecognizedClient",
        "InvalidAccessKeyId",
        "RequestTimeTooSkewed",
        "NotAuthorized",
        "OptInRequired",
    }
)
"""The signature, or the key that it was made with, is not taken: as a login that fails."""

_THROTTLED: Final = frozenset(
    {"TooManyRequests", "LimitExceeded", "Throttling", "ThrottledException", "RequestLimitExceeded", "SlowDown"}
)

_CODES: Final = {
    "MessageRejected": "Message rejected",
    "AccessDenied": "Access denied",
    "MailFromDomainNotVerified": "Domain not verified",
    "AccountSuspended": "Account suspended",
    "SendingPaused": "Sending paused",
    "BadRequest": "Transaction failed",
    "NotFound": "Transaction failed",
}
"""How a reply 554 of the SMTP endpoint begins, by the exception's name without `Exception`."""


@dataclass(frozen=True, slots=True)
class ApiRefusal:
    """An answer that refuses: the exception's name in the API, its message, and the status of HTTP."""

    name: str
    message: str
    status: int

    @property
    def kind(self) -> str:
        """The name without its suffix."""
        return self.name.rpartition("#")[2].removesuffix("Exception")

    @property
    def of_credentials(self) -> bool:
        """True where other credentials may help."""
        return self.kind in _SIGNATURE


def reply_to(refusal: ApiRefusal, host: str) -> tuple[Phase, Reply]:
    """Return the reply, and the phase in which SMTP would have said it."""
    kind, message = refusal.kind, " ".join(refusal.message.split())[:600]
    if refusal.of_credentials:
        return Phase.AUTH, parse_reply(535, f"{message} ({kind})", host)
    if kind in _THROTTLED or refusal.status == 429:
        return Phase.DONE, parse_reply(454, f"Throttling failure: {message} ({kind})", host)
    if kind == "MessageRejected" and "length is more than" in message:
        return Phase.DONE, parse_reply(552, f"Message is too long: {message}", host)
    if kind in _CODES:
        return Phase.DONE, parse_reply(554, f"{_CODES[kind]}: {message}", host)
    if refusal.status >= 500:
        return Phase.DONE, parse_reply(451, f"Temporary service failure: {message} ({kind})", host)
    return Phase.DONE, parse_reply(554, f"Transaction failed: {message} ({kind})", host)

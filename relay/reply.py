"""The SMTP reply: what we say to applications and providers say to us (RFC 5321 §4.2, RFC 3463)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")
# The last are line ends and turns of direction to those who show text.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, order=True)
class EnhancedStatus:
    """An enhanced status code, RFC 3463: `severity` 2, 4 or 5; `subject` and `detail` 0 to 999."""

    severity: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.severity}.{self.subject}.{self.detail}"

    @classmethod
    def at_start_of(cls, text: str) -> EnhancedStatus | None:
        """Return the code that `text` begins with, or None."""
        found = _STATUS.match(text)
        return cls(int(found[1]), int(found[2]), int(found[3])) if found else None


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply.

    `code` 200 to 599; `text` without code and enhanced status, lines parted by a line feed; `said_by` the host that
    said it, `relay` for our own. A failure without a reply (refused connection, timeout) becomes one of ours.
    """

    code: int
    status: EnhancedStatus | None
    text: str
    said_by: str = "relay"

    @property
    def positive(self) -> bool:
        """2yz and 3yz, RFC 5321 §4.2.1."""
        return self.code < 400

    @property
    def transient(self) -> bool:
        """4yz: the same command may succeed later."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """5yz: the same command will not succeed."""
        return self.code >= 500

    @property
    def enhanced(self) -> EnhancedStatus:
        """The status said, or where none was said X.0.0 of the reply's class (RFC 3464 §2.3.4 needs one)."""
        return self.status or EnhancedStatus(min(max(self.code // 100, 2), 5), 0, 0)

    def __str__(self) -> str:
        status = f" {self.status}" if self.status else ""
        text = self.text.replace("\n", " ")
        return f"{self.code}{status} {text}" if text else f"{self.code}{status}"

    def wire(self) -> bytes:
        """Return the lines to send, RFC 5321 §4.2.1, the enhanced status on each (RFC 2034 §4)."""
        status = f"{self.status} " if self.status else ""
        *others, last = self.text.split("\n")
        said = [f"{self.code}-{status}{line}\r\n" for line in others]
        return "".join([*said, f"{self.code} {status}{last}\r\n"]).encode()


def reply(code: int, status: str, text: str, said_by: str = "relay") -> Reply:
    """Make a reply from its usual notation: `reply(250, "2.0.0", "Ok")`; `status` may be empty."""
    return Reply(code, EnhancedStatus.at_start_of(status), text, said_by)


def parse_reply(code: int, text: str, said_by: str) -> Reply:
    """Read what a server said: `text` is the reply's lines without codes, parted by line feeds.

    The enhanced status is the first of the code's class that a line begins with, and taken off every line that repeats
    it: some servers say it on the last line only. Octets that are not printable become a question mark, since they end
    up in logs and notices.
    """
    said = map(EnhancedStatus.at_start_of, text.split("\n"))
    status = next((one for one in said if one is not None and one.severity == code // 100), None)
    if status is not None:
        text = "\n".join(line.removeprefix(str(status)).lstrip(" ") for line in text.split("\n"))
    return Reply(code, status, _UNPRINTABLE.sub("?", text.replace("\r", "")), said_by)

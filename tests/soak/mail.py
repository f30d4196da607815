"""Messages that can be told apart and judged when they arrive."""

import base64
import hashlib
import re
from dataclasses import dataclass
from random import Random

SENDER = "no-reply@clinic.test"
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_RECEIVED = re.compile(
    rb"Received: from \S+ \(\[127\.0\.0\.1\]\)\r\n\tby relay\.clinic\.test with ESMTP id ([0-9A-Za-z-]+)\r\n"
)
_ADDED = re.compile(
    rb"Message-ID: <[0-9A-Za-z-]+@relay\.clinic\.test>\r\nDate: [A-Z][a-z]{2}, [^\r\n]+\r\nMIME-Version: 1\.0\r\n"
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as it was sent. `head` is the header section without the empty line, `bare` whether it lacks what
    Relay adds; `digest` and `size` are the body's."""

    mark: str
    recipients: tuple[str, ...]
    head: bytes
    bare: bool
    digest: bytes
    size: int


def mail_of(mark: str, chance: Random, size: int, recipients: int) -> tuple[Mail, bytes]:
    """A message of about `size` octets and its body, no two the same, with lines of dots and 8-bit text among it."""
    lines = base64.encodebytes(chance.randbytes(max(size * 3 // 4 - 80, 0))).replace(b"\n", b"\r\n")
    body = b".\r\n..\r\n.hidden\r\n" + f"{mark} größer, 検査結果\r\n".encode() + lines + b"\r\n .\r\nend \r\n"
    bare = chance.random() < 0.3
    fields = [f"From: Clinic <{SENDER}>", f"Subject: {mark}", f"X-Mark: {mark}", "X-Folded: one", "\ttwo "]
    if not bare:
        fields += ["Date: Mon, 02 Mar 2026 09:30:00 +1100", f"Message-ID: <{mark}@clinic.test>", "MIME-Version: 1.0"]
    head = "".join(f"{field}\r\n" for field in fields).encode()
    paths = tuple(f"{mark}.{number}@example.test" for number in range(recipients))
    return Mail(mark, paths, head, bare, hashlib.sha256(body).digest(), len(body)), body


def mark_in(content: bytes) -> str:
    """The mark of a message that arrived."""
    return content[:4096].partition(b"\r\nX-Mark: ")[2].partition(b"\r\n")[0].decode(errors="replace")


def damage_of(content: bytes, mail: Mail, identifier: str | None) -> str | None:
    """What is wrong with a message that arrived, None where only the documented additions were made.

    `identifier` is the ID that the reply to the final dot named, None where no reply came.
    """
    end = _FIELD_END.search(content)
    trace, rest = (content[: end.end()], content[end.end() :]) if end else (b"", content)
    received = _RECEIVED.match(trace)
    if received is None:
        return f"no Received field of ours on top: {trace[:120]!r}"
    if identifier is not None and received[1].decode() != identifier:
        return f"Received names {received[1]!r}, the reply named {identifier}"
    if not rest.startswith(mail.head):
        return f"the header section differs: {rest[:400]!r}"
    rest = rest[len(mail.head) :]
    if mail.bare:
        added = _ADDED.match(rest)
        if added is None:
            return f"what was missing was not added: {rest[:200]!r}"
        rest = rest[added.end() :]
    if not rest.startswith(b"\r\n"):
        return f"no empty line behind the header section: {rest[:80]!r}"
    if hashlib.sha256(rest[2:]).digest() != mail.digest:
        return f"the body differs: {len(rest) - 2} octets arrived, {mail.size} were sent, it ends {rest[-60:]!r}"
    return None


def stuffed(content: bytes) -> bytes:
    """The content as DATA wants it, the final dot included (RFC 5321 §4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"

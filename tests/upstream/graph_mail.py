"""Messages for Microsoft Graph, and what is left of them when they arrive."""

from __future__ import annotations

import email
import email.policy
import random
from email.message import EmailMessage, Message

from tests.rig.message import SENDER


def octets(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - not for secrets


def written(*, text: str = "Hello\n", to: str = "Frau Å. <a@b.test>", **fields: str) -> EmailMessage:
    made = EmailMessage(policy=email.policy.SMTP)
    made["From"] = f"Clinic <{SENDER}>"
    if to:
        made["To"] = to
    made["Subject"] = "Befund für Frau Åström"
    made["Message-ID"] = "<1@clinic.test>"
    for name, value in fields.items():
        made[name] = value
    made.set_content(text)
    return made


def with_attachment(message: EmailMessage, size: int, name: str = "Befund ü.pdf", seed: int = 1) -> EmailMessage:
    message.add_attachment(octets(size, seed), maintype="application", subtype="pdf", filename=name)
    return message


Leaf = tuple[str, str | None, str | None, str, str | None, bytes]


def leaves(message: bytes) -> list[Leaf]:
    """Each part that is no multipart: type, charset, file name, disposition, Content-ID, octets once decoded."""
    found: list[Leaf] = []
    _collect(email.message_from_bytes(message, policy=email.policy.default), found)
    return found


def _collect(part: Message, found: list[Leaf]) -> None:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload(0)
        found.append((*_described(part), b""))
        assert isinstance(inner, Message)
        _collect(inner, found)
    elif part.is_multipart():
        for each in part.get_payload():
            assert isinstance(each, Message)
            _collect(each, found)
    else:
        decoded = part.get_payload(decode=True)
        assert isinstance(decoded, bytes)
        found.append((*_described(part), decoded))


def _described(part: Message) -> tuple[str, str | None, str | None, str, str | None]:
    disposition = part.get_content_disposition() or "inline"
    charset = part.get_content_charset() if part.get_content_maintype() == "text" else None
    return part.get_content_type(), charset, part.get_filename(), disposition, part.get("Content-ID")

"""A message of Microsoft Graph: who gets it by its header, and its MIME with attachments added to it (RFC 2046)."""

from __future__ import annotations

import base64
import email.header
import email.message
import email.parser
import email.policy
import email.utils
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FIELDS = ("toRecipients", "ccRecipients", "bccRecipients")
_HEADERS = dict(zip(FIELDS, ("To", "Cc", "Bcc"), strict=True))
_FIELD = re.compile(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*")
_ANGLES = re.compile(r".*<[^<>@]+@[^<>@]+>\s*", re.DOTALL)

Addresses = tuple[tuple[str, str], ...]
"""Names and addresses."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A fileAttachment."""

    name: str
    content_type: str
    inline: bool
    content_id: str
    octets: bytes

    def entity(self) -> bytes:
        """Return it as a MIME part, ended."""
        made = email.message.Message(policy=email.policy.compat32)
        made["Content-Type"] = self.content_type or "application/octet-stream"
        made.set_param("name", self.name, charset="utf-8" if not self.name.isascii() else None)
        made["Content-Disposition"] = "inline" if self.inline else "attachment"
        name: Any = ("utf-8", "", self.name) if not self.name.isascii() else self.name
        made.set_param("filename", name, header="Content-Disposition")
        if self.content_id:
            made["Content-ID"] = f"<{self.content_id}>"
        if self.content_type == "message/rfc822":
            body = self.octets
        else:
            made["Content-Transfer-Encoding"] = "base64"
            body = base64.encodebytes(self.octets).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
        header = "".join(f"{key}: {value}\r\n" for key, value in made.items())
        return header.encode("utf-8", "surrogateescape") + b"\r\n" + body + b"\r\n"


def header_and_body(mime: bytes) -> tuple[bytes, bytes]:
    """Return a message's header section and its body."""
    header, _, body = mime.partition(b"\r\n\r\n")
    return header + b"\r\n", body


def parsed(header: bytes) -> email.message.Message:
    """Read a header section."""
    return email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(header)


def authors(fields: email.message.Message) -> Addresses | None:
    """Return From; None where Graph can't read it: no angle brackets, or a name with a bare `@`."""
    said = [str(value) for value in fields.get_all("From", [])]
    bare = [value for value in said if not _ANGLES.fullmatch(value) or "@" in re.sub(r'"[^"]*"|<[^<>]*>', "", value)]
    return None if bare or not said else _addresses(said)


def recipients(fields: email.message.Message) -> dict[str, Addresses]:
    """Return who gets the message, by field."""
    return {key: _addresses([str(one) for one in fields.get_all(name, [])]) for key, name in _HEADERS.items()}


def delivered(mime: bytes, named: Mapping[str, Addresses] | None = None) -> bytes:
    """Return the message as its recipients see it: without Bcc, To and Cc as PATCH has set them where it did."""
    header, body = header_and_body(mime)
    kept = [field for field in _FIELD.findall(header) if _name(field) != "bcc"]
    if named is not None:
        kept = [field for field in kept if _name(field) not in {"to", "cc"}]
        for key in FIELDS[:2]:
            if named[key]:
                members = ",\r\n ".join(f'"{email.utils.quote(name)}" <{address}>' for name, address in named[key])
                kept.append(f"{_HEADERS[key]}: {members}\r\n".encode())
    return b"".join(kept) + b"\r\n" + body


def with_attachments(mime: bytes, attachments: Sequence[Attachment]) -> bytes:
    """Return the message with these behind all else; inline ones with the text that shows them, where there is such."""
    inline = [one for one in attachments if one.inline and one.content_id]
    related = _boundary_of(mime, "multipart/related")
    if inline and related is not None:
        mime = _inserted(mime, related, inline)
        attachments = [one for one in attachments if one not in inline]
    if not attachments:
        return mime
    header, body = header_and_body(mime)
    fields = parsed(header)
    boundary = fields.get_boundary()
    if fields.get_content_type() == "multipart/mixed" and boundary:
        return _inserted(mime, boundary.encode(), attachments)
    own = [field for field in _FIELD.findall(header) if _name(field).startswith("content-")]
    others = [field for field in _FIELD.findall(header) if not _name(field).startswith("content-")]
    made = f"_004_{secrets.token_hex(12)}_".encode()
    top = b"".join(others) + b'Content-Type: multipart/mixed; boundary="' + made + b'"\r\n\r\n'
    first = b"--" + made + b"\r\n" + b"".join(own) + b"\r\n" + body + b"\r\n--" + made + b"--\r\n"
    return _inserted(top + first, made, attachments)


def _inserted(mime: bytes, boundary: bytes, attachments: Sequence[Attachment]) -> bytes:
    end = mime.rfind(b"--" + boundary + b"--")
    between = b"".join(b"--" + boundary + b"\r\n" + one.entity() for one in attachments)
    return mime[:end] + between + mime[end:]


def _boundary_of(mime: bytes, kind: str) -> bytes | None:
    for part in email.parser.BytesParser(policy=email.policy.compat32).parsebytes(mime).walk():
        boundary = part.get_boundary()
        if part.get_content_type() == kind and boundary:
            return boundary.encode()
    return None


def _name(field: bytes) -> str:
    return field.partition(b":")[0].strip().decode("latin-1").lower()


def _addresses(values: Sequence[str]) -> Addresses:
    found = email.utils.getaddresses(list(values))
    return tuple((_decoded(name), address) for name, address in found if "@" in address)


def _decoded(name: str) -> str:
    return str(email.header.make_header(email.header.decode_header(name)))

"""Our changes to a header section, made on its octets: what every relay adds, and what nobody may see."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from relay.envelope import Origin
from relay.inbound.header_section import HeaderSection

_UNSAFE: Final = re.compile(r"[^0-9A-Za-z._:\[\]-]")


def date_text(at: int) -> str:
    """Return an instant as RFC 5322 §3.3 writes it, in UTC."""
    return _second_text(at // 1000)


@functools.lru_cache(maxsize=8)
def _second_text(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def received_field(origin: Origin, hostname: str, message_id: str, *, extended: bool, smtputf8: bool, at: int) -> bytes:
    """Return the trace field of RFC 5321 §4.4, its line ended.

    No `for`, which would disclose other recipients; the client's name, never its user name. `with` is that of
    RFC 3848 and RFC 6531 §4.3.
    """
    helo = _UNSAFE.sub("?", origin.helo)[:255] or "unknown"
    literal = f"IPv6:{origin.peer}" if ":" in origin.peer else origin.peer
    tls = f"; {origin.tls}" if origin.tls else ""
    client = _UNSAFE.sub("?", origin.client)[:64]
    return (
        f"Received: from {helo} ([{literal}])\r\n"
        f"\tby {hostname} with {_protocol(origin, extended=extended, smtputf8=smtputf8)} id {message_id}\r\n"
        f"\t(client {client}{tls}); {date_text(at)}\r\n"
    ).encode()


def _protocol(origin: Origin, *, extended: bool, smtputf8: bool) -> str:
    if not extended:
        return "SMTP"
    name = "UTF8SMTP" if smtputf8 else "ESMTP"
    return name + ("S" if origin.tls else "") + ("A" if origin.mechanism else "")


def completed(header: bytes, section: HeaderSection, received: bytes, hostname: str, message_id: str, at: int) -> bytes:
    """Return the header section with `received` on top, what is missing added, and Bcc taken out."""
    parts = [received]
    position = 0
    for start, end in section.blind:
        parts.append(header[position:start])
        position = end
    parts.append(header[position:])
    if not section.has_message_id:
        parts.append(f"Message-ID: {message_id_for(hostname, message_id)}\r\n".encode())
    if not section.has_date:
        parts.append(f"Date: {date_text(at)}\r\n".encode())
    if not section.has_mime_version:
        parts.append(b"MIME-Version: 1.0\r\n")
    return b"".join(parts)


def message_id_for(hostname: str, message_id: str) -> str:
    """Return the Message-ID of a message that came without one."""
    return f"<{message_id}@{hostname}>"

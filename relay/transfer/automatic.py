"""Whether a message is somebody's notice: nobody is told of one, or two relays would tell each other for ever. Pure."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesHeaderParser

from relay.address import ReversePath


def is_notice(header: bytes, reverse_path: ReversePath) -> bool:
    """True for a DSN, whatever its reverse-path (RFC 3464 §2), and for what a program sent with the null one.

    Our own notices are marked in the spool; those of another relay are known by their header (RFC 3834 §5).
    """
    end = header.find(b"\r\n\r\n")
    fields = BytesHeaderParser().parsebytes(header if end < 0 else header[: end + 2])
    if fields.get_content_type() == "multipart/report" and _report(fields) == "delivery-status":
        return True
    automatic = str(fields.get("Auto-Submitted", "no")).partition(";")[0].strip().casefold()
    return reverse_path is None and automatic != "no"


def _report(fields: Message) -> str:
    return str(fields.get_param("report-type", "")).casefold()

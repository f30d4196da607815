"""The message that every client sends: all that a careless hop would change."""

import base64
import random
from functools import cache

SENDER = "no-reply@clinic.test"
RECIPIENT = "patient@example.test"
SUBJECT = "Überweisung für Frau Åström – 検査結果 ✓"
_BOUNDARY = "=_clinic_5f1c"


@cache
def clinic_message(attachment: int = 3 * 1024 * 1024) -> bytes:
    """A complete message with CRLF line ends: a raw UTF-8 subject, 1,500-character lines, lines of dots, an attachment.

    `attachment` is its size in octets before base64.
    """
    return b"\r\n".join(line.encode() for line in [*_head(), *_text(), *_attached(attachment), f"--{_BOUNDARY}--", ""])


def trace_above(arrived: bytes, sent: bytes) -> bytes:
    """What hops put on top of a message that arrived otherwise byte for byte as it was sent; line ends may be LF."""
    if b"\r\n" not in arrived:
        sent = sent.replace(b"\r\n", b"\n")
    if not arrived.endswith(sent):
        differs = next(
            (n for n, (a, s) in enumerate(zip(reversed(arrived), reversed(sent), strict=False)) if a != s), 0
        )
        at = len(arrived) - differs
        raise AssertionError(
            f"{len(sent)} octets sent, {len(arrived)} arrived; counted from the end they differ at {differs}: "
            f"{arrived[max(at - 80, 0) : at + 20]!r} instead of {sent[-differs - 80 : len(sent) - differs + 20]!r}"
        )
    return arrived[: len(arrived) - len(sent)]


def _head() -> list[str]:
    return [
        f"From: Clinic <{SENDER}>",
        f"To: <{RECIPIENT}>",
        f"Subject: {SUBJECT}",
        "Date: Mon, 02 Mar 2026 09:30:00 +1100",
        "Message-ID: <a1b2c3@clinic.test>",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"',
        "X-Trailing-Blank: kept ",
        "",
        f"--{_BOUNDARY}",
        "Content-Type: text/html; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
    ]


def _text() -> list[str]:
    return [
        "<p>Größe 1,5 µm</p>",
        "x" * 1500,
        "ä" * 1500,
        ".",
        "..",
        ".x",
        "From here on the next line starts with a blank",
        " .",
        "a trailing blank ",
        "",
        "",
        ("<td>" + "9" * 21 + "</td>") * 50,
        "",
    ]


def _attached(size: int) -> list[str]:
    octets = random.Random(size).randbytes(size)  # noqa: S311 - not for secrets
    encoded = base64.b64encode(octets).decode()
    return [
        f"--{_BOUNDARY}",
        "Content-Type: application/pdf",
        "Content-Transfer-Encoding: base64",
        'Content-Disposition: attachment; filename="scan.pdf"',
        "",
        *(encoded[start : start + 76] for start in range(0, len(encoded), 76)),
    ]

"""Dot stuffing (RFC 5321 §4.5.2) of content that comes in pieces; pure."""

from __future__ import annotations

from relay.message.line_dots import line_dot


class DotStuffing:
    """Doubles the dot at the beginning of each line, wherever the pieces are cut."""

    def __init__(self) -> None:
        # As though a line had just ended: a dot that comes first is doubled.
        self._before = b"\r\n"

    def stuffed(self, piece: bytes) -> bytes:
        """Return the next piece as it goes over the wire."""
        out = piece.replace(b"\r\n.", b"\r\n..") if line_dot(piece) >= 0 else piece
        # The CRLF may have come with the piece before, whole or its CR alone; the dot is then first or second.
        seam = (self._before + piece[:2]).find(b"\r\n.")
        if seam >= 0:
            dot = seam + 2 - len(self._before)
            if dot >= 0:
                out = out[:dot] + b"." + out[dot:]
        self._before = (self._before + piece[-2:])[-2:]
        return out

    def end(self) -> bytes:
        """Return the end of data, behind a line end where the last line lacks one."""
        return b".\r\n" if self._before == b"\r\n" else b"\r\n.\r\n"

"""The body of a DATA command off the wire, whatever its size: unstuffed, up to CRLF.CRLF."""

import asyncio
from collections.abc import AsyncIterator

_END = b"\r\n.\r\n"
_STUFFED, _PLAIN = b"\r\n..", b"\r\n."


async def unstuffed(read: "asyncio.StreamReader", rest: bytearray) -> AsyncIterator[bytes]:
    """Pieces of the content. `rest` is what was read already; it ends as what follows the final dot.

    Raises IncompleteReadError when the client hangs up before the final dot.
    """
    buffer = bytearray(b"\r\n") + rest
    rest.clear()
    start = 2
    while True:
        end = buffer.find(_END)
        if end >= 0:
            rest += buffer[end + len(_END) :]
            yield bytes(buffer[: end + 2]).replace(_STUFFED, _PLAIN)[start:]
            return
        cut = _safe_cut(buffer)
        if cut > start:
            yield bytes(buffer[:cut]).replace(_STUFFED, _PLAIN)[start:]
            del buffer[:cut]
            start = 0
        piece = await read.read(1 << 18)
        if not piece:
            raise asyncio.IncompleteReadError(bytes(buffer), None)
        buffer += piece


def _safe_cut(buffer: bytearray) -> int:
    """Where the buffer can be cut so that neither the end nor a stuffed dot lies across the cut."""
    cut = max(len(buffer) - len(_END), 0)
    while cut > 0 and (buffer[cut - 1] in b"\r\n" or buffer[max(cut - 3, 0) : cut] == _PLAIN):
        cut -= 1
    return cut

"""A message as it is given to Microsoft Graph: recipients in its header, no quoted-printable in its body. Streams.

Graph has broken quoted-printable bodies when it encoded them anew: a soft line break before two hexadecimal digits
(JustinIven/smtp-oauth-relay #93 and #94). In base64 the same octets arrive.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from relay.address import Mailbox
from relay.envelope import Content
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.graph_header import Placement, header_for, placement_of
from relay.upstream.reencoding import without_quoted_printable


@dataclass(frozen=True, slots=True)
class Guarded:
    """Content that may fail in any way, being somebody else's: ConversationEnded then."""

    original: Content
    host: str

    @property
    def size(self) -> int:
        """Octets in all."""
        return self.original.size

    @property
    def eight_bit(self) -> bool:
        """True where an octet above 127 occurs."""
        return self.original.eight_bit

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the original. Raises ConversationEnded."""
        try:
            async for chunk in self.original.chunks():
                yield chunk
        except Exception as error:
            said = reply_for(Cause.CONTENT_UNREADABLE, Phase.CONTENT, self.host)
            raise ConversationEnded(Phase.CONTENT, said, Cause.CONTENT_UNREADABLE) from error


@dataclass(frozen=True, slots=True)
class Readdressed:
    """Content with another header section, which names who stands in `placement`, for the first `dropped` octets."""

    original: Content
    header: bytes = field(repr=False)
    dropped: int
    placement: Placement

    @property
    def size(self) -> int:
        """Octets in all."""
        return len(self.header) + self.original.size - self.dropped

    @property
    def eight_bit(self) -> bool:
        """True where an octet above 127 may occur."""
        return self.original.eight_bit or not self.header.isascii()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the header, then the rest of the original."""
        yield self.header
        left = self.dropped
        async for chunk in self.original.chunks():
            if left >= len(chunk):
                left -= len(chunk)
                continue
            yield chunk[left:]
            left = 0


async def addressed(content: Content, recipients: Sequence[Mailbox]) -> Readdressed:
    """Return content for exactly these recipients. Raises what reading the content raises."""
    plain = await without_quoted_printable(content)
    header = await _header_of(plain)
    placement = placement_of(header, recipients)
    return Readdressed(plain, header_for(header, placement), len(header), placement)


async def whole(content: Content) -> bytes:
    """Return all of it."""
    return b"".join([chunk async for chunk in content.chunks()])


async def _header_of(content: Content) -> bytes:
    """Return the header section without its blank line, which begins the rest."""
    read = b""
    async for chunk in content.chunks():
        searched = max(len(read) - 3, 0)
        read += chunk
        if read.startswith(b"\r\n"):
            return b""
        end = read.find(b"\r\n\r\n", searched)
        if end >= 0:
            return read[: end + 2]
    return read

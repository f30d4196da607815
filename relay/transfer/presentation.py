"""A message as an upstream gets it: its header section rewritten, the rest as the application sent it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from relay.envelope import Content, Envelope, WholeContent
from relay.reply import Reply, reply
from relay.transfer.disclaiming import with_disclaimer
from relay.transfer.receipts import without_success
from relay.transfer.rewriting import Face, rewritten


@dataclass(frozen=True, slots=True)
class Presented:
    """What is offered. `note` is what the trace says of it; `refusal`: it is not to be offered at all.

    `stands_in`: the reverse-path is not the sender's, so that the upstream's notices would not reach him.
    """

    envelope: Envelope
    content: Content
    note: Reply | None = None
    refusal: Reply | None = None
    stands_in: bool = False


@dataclass(frozen=True, slots=True)
class Reheaded:
    """Large content with another header section: `cut` octets of the original are replaced by `header`."""

    original: Content
    header: bytes
    cut: int

    @property
    def size(self) -> int:
        """Octets in all."""
        return self.original.size - self.cut + len(self.header)

    @property
    def eight_bit(self) -> bool:
        """True where an octet above 127 may occur."""
        return self.original.eight_bit or not self.header.isascii()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the content in order."""
        yield self.header
        left = self.cut
        async for chunk in self.original.chunks():
            if left >= len(chunk):
                left -= len(chunk)
                continue
            yield chunk[left:] if left else chunk
            left = 0


async def presented(envelope: Envelope, content: Content, face: Face) -> Presented:
    """Return a message as it goes out with this face. Raises what reading the content raises."""
    header, rest = await _header_of(content)
    found = rewritten(header, envelope.reverse_path, face)
    if found.refusal is not None:
        return Presented(envelope, content, refusal=found.refusal)
    if found.header is not header:
        content = (
            WholeContent(found.header + rest) if rest is not None else Reheaded(content, found.header, len(header))
        )
    told = found.told
    if face.disclaimer is not None:
        if found.seal:
            told = "; ".join(filter(None, [told, f"without the disclaimer: it is signed ({found.seal})"]))
        else:
            content = await with_disclaimer(content, face.disclaimer)
    note = reply(250, "2.0.0", told) if told else None
    stands_in = found.reverse_path != envelope.reverse_path
    if stands_in:
        # Of success we tell the sender ourselves: the provider can't reach him.
        envelope = replace(without_success(envelope), reverse_path=found.reverse_path)
    return Presented(envelope, content, note, stands_in=stands_in)


async def _header_of(content: Content) -> tuple[bytes, bytes | None]:
    """Return the header section, and all that follows it where that is in memory already."""
    gathered = b""
    async for chunk in content.chunks():
        gathered = gathered + chunk if gathered else chunk
        end = gathered.find(b"\r\n\r\n")
        if end >= 0:
            return gathered[: end + 2], gathered[end + 2 :] if len(gathered) == content.size else None
    return gathered, b""

"""A message's octets, each with the number of the MIME entity that it belongs to; streams, and is pure (RFC 2046)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relay.message.mime_entities import HEADER_LIMIT, Header, Lines, Structure, header_of


@dataclass(slots=True)
class Entity:
    """One entity, numbered as they come, the message itself 0. `header` None until it is complete.

    `holder` is the multipart around it; `first` tells that it is the holder's first. `sealed`: a signature or a report
    covers it.
    """

    number: int
    header: Header | None = None
    holder: Entity | None = None
    first: bool = False
    sealed: bool = False

    @property
    def content_type(self) -> str:
        """The media type in lower case, empty while it is not known."""
        return self.header.fields.get_content_type() if self.header is not None else ""


SEALING = frozenset({"multipart/signed", "multipart/encrypted", "multipart/report"})
"""Of these nothing may be changed (RFC 1847, RFC 6522)."""


class Walk:
    """Follows a message line by line.

    A part owns its octets from the boundary in front of it to the line end in front of the next one; a multipart owns
    its closing boundary and what follows. What is within message/rfc822 belongs to that one part.
    """

    def __init__(self) -> None:
        self._lines = Lines()
        self._structure = Structure()
        self._holders: list[Entity] = []
        self._count = 0
        self._header: list[bytes] | None = []
        self._header_size = 0
        self._entity = Entity(0)
        self._part: Entity | None = None

    def of(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Give what is complete by now."""
        for piece in self._lines.of(chunk):
            yield from self._taken(*piece)

    def end(self) -> Iterator[tuple[int, bytes]]:
        """Give the rest."""
        for piece in self._lines.end():
            yield from self._taken(*piece)

    def begun(self, entity: Entity) -> None:
        """Hear of an entity whose header section is complete."""

    def body(self, entity: Entity, octets: bytes, *, ends: bool) -> None:
        """Hear of a piece of a line of a part's body, its line end left out."""

    def _taken(self, piece: bytes, begins: bool, ends: bool) -> Iterator[tuple[int, bytes]]:
        octets = piece + b"\r\n" if ends else piece
        follows = self._structure.delimiter(piece) if begins and ends else None
        if follows is not None:
            self._delimited(follows)
        elif self._header is None:
            if self._part is not None:
                self.body(self._part, piece, ends=ends)
        elif piece or not begins:
            self._header.append(octets)
            self._header_size += len(octets)
            if self._header_size > HEADER_LIMIT:
                self._header = None
        else:
            self._header_ended(header_of(b"".join(self._header)))
        yield self._entity.number, octets

    def _delimited(self, follows: bool) -> None:
        depth = self._structure.depth
        self._part = None
        if not follows:
            self._entity, self._header = self._holders[depth], None
            del self._holders[depth:]
            return
        del self._holders[depth:]
        holder = self._holders[-1]
        self._count += 1
        first = holder is self._entity
        sealed = any(one.content_type in SEALING for one in self._holders)
        self._entity = Entity(self._count, None, holder, first, sealed)
        self._header, self._header_size = [], 0

    def _header_ended(self, header: Header) -> None:
        self._header = None
        self._entity.header = header
        if self._structure.enter(header):
            self._holders.append(self._entity)
        else:
            self._part = self._entity
        self.begun(self._entity)

"""A message cut in two: what becomes a draft, and the octets of the parts that are uploaded. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from relay.upstream.graph_parts import Decoder, Plan, decoder_for
from relay.upstream.graph_walk import Entity, Walk

_EMPTY_TEXT = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n\r\n"
_CONTENT_FIELD = re.compile(rb"^content-[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", re.IGNORECASE | re.MULTILINE)


class Remainder(Walk):
    """The message without the parts that are taken out."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._gone = {part.number for part in plan.parts}
        self._to_fill = set(plan.emptied)
        self._top = b""

    def begun(self, entity: Entity) -> None:
        """Keep the header of a message that is itself the one part."""
        if entity.number == 0 and entity.header is not None and 0 in self._gone:
            self._top = _CONTENT_FIELD.sub(b"", entity.header.octets) + b"\r\n"

    def left(self, pieces: Iterator[tuple[int, bytes]]) -> bytes:
        """Return of these pieces what stays."""
        said = []
        for number, octets in pieces:
            if number not in self._gone:
                said.append(octets)
            elif number in self._to_fill:
                # The boundary comes first of what a part owns.
                self._to_fill.remove(number)
                said += [octets, _EMPTY_TEXT]
        top, self._top = self._top, b""
        return top + b"".join(said)


class Extraction(Walk):
    """The octets of the parts that are taken out, decoded."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._gone = {part.number for part in plan.parts}
        self._decoder: tuple[int, Decoder] | None = None
        self._said: list[tuple[int, bytes]] = []

    def begun(self, entity: Entity) -> None:
        """Begin with a part."""
        self._close()
        if entity.number in self._gone:
            self._decoder = entity.number, decoder_for(entity)

    def body(self, entity: Entity, octets: bytes, *, ends: bool) -> None:
        """Decode a piece."""
        if self._decoder is not None and self._decoder[0] == entity.number:
            self._said.append((entity.number, self._decoder[1].decoded(octets, ends=ends)))

    def taken(self, pieces: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Return what these pieces of the walk bring: number of the part, octets."""
        for _ in pieces:
            pass
        said, self._said = self._said, []
        return said

    def rest(self) -> list[tuple[int, bytes]]:
        """Return what the end brings."""
        for _ in self.end():
            pass
        self._close()
        said, self._said = self._said, []
        return said

    def _close(self) -> None:
        if self._decoder is not None:
            number, decoder = self._decoder
            self._said.append((number, decoder.finished()))
            self._decoder = None

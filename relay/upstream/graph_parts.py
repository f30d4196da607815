"""Which parts of a message are taken out of it, to be uploaded one by one. Pure.

A draft made of MIME may be so large as one request may be. What makes a message larger are attachments, and Graph takes
an attachment by itself: name, type, Content-ID and octets. A body, and whatever a signature covers, can't go that way.
"""

from __future__ import annotations

import binascii
import email.header
import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.errors import HeaderParseError
from typing import Final

from relay.message.mime_entities import Header
from relay.upstream.graph_walk import SEALING, Entity, Walk

_IDENTITY: Final = frozenset({"7bit", "8bit", "binary"})
_HOLDERS: Final = frozenset({"multipart/mixed", "multipart/related"})
_SMIME: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_NAMELESS: Final = "attachment"
_LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Part:
    """A part that can go by itself: its number in the walk, `octets` in the message, `size` once decoded.

    `content_id` is without angle brackets, empty where there is none.
    """

    number: int
    octets: int
    size: int
    name: str
    content_type: str
    inline: bool
    content_id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts to take out, in their order. In place of those `emptied` stays an empty text, else nothing would."""

    parts: tuple[Part, ...]
    emptied: frozenset[int]


class Decoder:
    """Gives the octets that a part's lines stand for; where it is `delimited` the last line end is the boundary's."""

    def __init__(self, encoding: str, *, delimited: bool) -> None:
        self._base64 = encoding == "base64"
        self._delimited = delimited
        self._held = b""
        self._padded = False
        self.damaged = False

    def decoded(self, piece: bytes, *, ends: bool) -> bytes:
        """Return what is known by now."""
        if self._base64:
            self._held += b"".join(piece.split())
            cut = len(self._held) - len(self._held) % 4
            full, self._held = self._held[:cut], self._held[cut:]
            return self._octets(full)
        said = self._held + piece
        self._held = b"\r\n" if ends else b""
        return said

    def finished(self) -> bytes:
        """Return the rest."""
        rest, self._held = self._held, b""
        if self._base64:
            self.damaged = self.damaged or bool(rest)
            return b""
        return b"" if self._delimited else rest

    def _octets(self, encoded: bytes) -> bytes:
        # What follows the padding is read by some and not by others.
        self.damaged = self.damaged or (self._padded and bool(encoded))
        self._padded = self._padded or encoded.endswith(b"=")
        try:
            return binascii.a2b_base64(encoded, strict_mode=True) if encoded else b""
        except binascii.Error:
            self.damaged = True
            return b""


def decoder_for(entity: Entity) -> Decoder:
    """Return what decodes a part's body."""
    encoding = entity.header.encoding if entity.header is not None else ""
    return Decoder(encoding, delimited=entity.number > 0)


class Survey(Walk):
    """Finds the parts that can go by themselves, and how large each is once decoded. `size` octets in all."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._found: dict[int, tuple[Entity, Decoder]] = {}
        self._octets: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._children: dict[int, list[int]] = {}

    def look_at(self, pieces: Iterator[tuple[int, bytes]]) -> None:
        """Take pieces of the walk."""
        for number, octets in pieces:
            self.size += len(octets)
            self._octets[number] = self._octets.get(number, 0) + len(octets)

    def begun(self, entity: Entity) -> None:
        """Begin to count a part's octets."""
        if entity.holder is not None:
            self._children.setdefault(entity.holder.number, []).append(entity.number)
        if _goes_alone(entity):
            self._found[entity.number] = entity, decoder_for(entity)
            self._sizes[entity.number] = 0

    def body(self, entity: Entity, octets: bytes, *, ends: bool) -> None:
        """Count them."""
        if entity.number in self._found:
            self._sizes[entity.number] += len(self._found[entity.number][1].decoded(octets, ends=ends))

    def plan(self, most: int) -> Plan | None:
        """Return what to take out so that at most so many octets are left; None where that can't be."""
        parts = taken_out(self._parts(), self.size, most)
        if parts is None:
            return None
        gone = {part.number for part in parts}
        emptied = {numbers[0] for numbers in self._children.values() if gone.issuperset(numbers)}
        return Plan(parts, frozenset(emptied))

    def _parts(self) -> tuple[Part, ...]:
        found = []
        for number, (entity, decoder) in self._found.items():
            size = self._sizes[number] + len(decoder.finished())
            if entity.header is not None and not decoder.damaged and size:
                found.append(_part(number, entity.header, self._octets[number], size))
        return tuple(found)


def taken_out(parts: Sequence[Part], size: int, most: int) -> tuple[Part, ...] | None:
    """Return the parts to take out of `size` octets so that `most` are left; None where it can't be.

    The largest go, and with the first of them all those behind it: attachments are added behind what the draft has, so
    that they stay in their order. Only a message in the message stays where it can, for it would become a file.
    """
    left, chosen = size, set[int]()
    for part in sorted(parts, key=lambda one: one.octets, reverse=True):
        if left <= most:
            break
        chosen.add(part.number)
        left -= part.octets
    if left > most:
        return None
    first = min(chosen, default=0)
    followers = {part.number for part in parts if part.number > first and part.content_type != "message/rfc822"}
    return tuple(part for part in parts if chosen and part.number in chosen | followers)


def _goes_alone(entity: Entity) -> bool:
    header, holder = entity.header, entity.holder
    if header is None or entity.sealed or entity.content_type in SEALING:
        return False
    if header.fields.get_content_maintype() == "multipart" or header.encoding not in _IDENTITY | {"base64"}:
        return False
    if holder is None and entity.content_type in _SMIME:
        return False
    if holder is not None and holder.content_type not in _HOLDERS:
        return False
    if holder is not None and holder.content_type == "multipart/related" and entity.first:
        return False
    attached = header.fields.get_content_disposition() == "attachment"
    return attached or header.fields.get_content_maintype() != "text"


def _part(number: int, header: Header, octets: int, size: int) -> Part:
    disposition = header.fields.get_content_disposition()
    content_id = str(header.fields.get("Content-ID", "")).strip().strip("<>")
    return Part(
        number=number,
        octets=octets,
        size=size,
        name=_name(header),
        content_type=_type(header),
        inline=disposition == "inline" or (bool(content_id) and disposition != "attachment"),
        content_id=content_id,
    )


def _type(header: Header) -> str:
    """Return the media type; of a text with its charset, without which nobody could read it."""
    said = header.fields.get_content_type()
    charset = header.fields.get_param("charset") if said.startswith("text/") else None
    plain = isinstance(charset, str) and charset.isascii() and charset.replace("-", "").replace("_", "").isalnum()
    return f"{said}; charset={charset}" if plain else said


def _name(header: Header) -> str:
    """Return the file's name (RFC 2231, and RFC 2047 as many clients write it); one of ours where there is none."""
    said = header.fields.get_filename() or ""
    try:
        name = str(email.header.make_header(email.header.decode_header(said)))
    except (HeaderParseError, UnicodeError, LookupError, ValueError):
        name = said
    name = "".join(letter for letter in name.encode("utf-8", "replace").decode() if letter.isprintable()).strip()
    if name:
        return name[:_LONGEST_NAME]
    kind = header.fields.get_content_type()
    suffix = ".eml" if kind == "message/rfc822" else mimetypes.guess_extension(kind) or ""
    return f"{_NAMELESS}{suffix}"

"""One text part with a disclaimer: in its own charset and transfer encoding, where these can say it. Pure."""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from relay.message.mime_entities import Header
from relay.transfer.disclaimer import Disclaimer

_IDENTITY: Final = frozenset({"7bit", "8bit", "binary"})
_KNOWN: Final = _IDENTITY | {"quoted-printable", "base64"}
_SEALED: Final = "-----BEGIN PGP "
_BODY_END: Final = re.compile(r"</body\s*>", re.IGNORECASE)
_HTML_END: Final = re.compile(r"</html\s*>", re.IGNORECASE)
_BODY_END_OCTETS: Final = re.compile(rb"</body\s*>", re.IGNORECASE)
_HTML_END_OCTETS: Final = re.compile(rb"</html\s*>", re.IGNORECASE)
_STATEFUL: Final = ("utf-16", "utf-32", "utf-7", "iso2022", "hz")
_NO_CHARSETS: Final = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})
_WIDE: Final = ("utf-16", "utf-32")
_BASE64_LINE: Final = 57

Found: TypeAlias = re.Match[str] | re.Match[bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """`body` is all of it, or (`whole` False) its end only, whose beginning has gone out with the header as it was."""

    header: Header
    body: bytes
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Edited:
    """What the part becomes. `placed`: the disclaimer is in it, by us or from before."""

    header: bytes
    body: bytes
    placed: bool


def disclaimed(part: Part, disclaimer: Disclaimer) -> Edited:
    """Return the part with the disclaimer at its end; as it is where that stands in it already, or it is sealed."""
    as_html = part.header.kind == "text/html"
    octets, codec = _octets(part), _codec(part.header)
    if octets is None or (codec.startswith(_WIDE) and part.header.encoding != "base64"):
        return Edited(part.header.octets, part.body, placed=False)
    text = octets.decode(codec, "replace")
    if _SEALED in text:
        return Edited(part.header.octets, part.body, placed=False)
    if disclaimer.stands_in(text, as_html=as_html):
        return Edited(part.header.octets, part.body, placed=True)
    header, body = _html(part, octets, codec, disclaimer) if as_html else _plain(part, octets, codec, disclaimer)
    return Edited(header, body, placed=True)


# ---- plain text ----------------------------------------------------------------------------------------


def _plain(part: Part, octets: bytes, codec: str, disclaimer: Disclaimer) -> tuple[bytes, bytes]:
    addition = _addition(part.header, disclaimer, octets, codec)
    try:
        said = _encoded(addition, codec, octets)
    except UnicodeError:
        if part.whole and (text := _text(octets, codec)) is not None:
            return _rewritten(part.header.with_charset("utf-8"), (text + addition).encode("utf-8"))
        said = addition.encode(codec if not codec.startswith(_STATEFUL) else "ascii", "replace")
    return _appended(part, said)


def _addition(header: Header, disclaimer: Disclaimer, octets: bytes, codec: str) -> str:
    lines = disclaimer.text.split("\n")
    if header.type.parameters.get("format", "").lower() == "flowed":
        # RFC 3676 §4.4: what begins like a quotation is stuffed; none of our lines ends with a blank.
        lines = [f" {line}" if line.startswith((" ", ">", "From ")) else line for line in lines]
    ended = octets.endswith(_newline(codec)) if octets else True
    between = "" if not octets else "\r\n" if ended else "\r\n\r\n"
    return between + "\r\n".join(lines) + ("\r\n" if ended else "")


def _newline(codec: str) -> bytes:
    # Which octet of a line feed comes last depends on the order.
    return b"" if codec.startswith(_WIDE) else b"\n"


def _encoded(addition: str, codec: str, octets: bytes) -> bytes:
    """The addition in the body's charset; of UTF-16 and UTF-32 in its order of octets, without a mark of its own."""
    if codec in {"utf-16", "utf-32"}:
        if octets.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
            return addition.encode(f"{codec}-be")
        return addition.encode(f"{codec}-le")
    return addition.encode(codec)


def _text(octets: bytes, codec: str) -> str | None:
    """The body's text; of one that is not what it says, whatever it is likely to be."""
    for tried in (codec, "utf-8", "cp1252"):
        try:
            return octets.decode(tried)
        except UnicodeError:
            continue
    return None


def _appended(part: Part, said: bytes) -> tuple[bytes, bytes]:
    header, encoding = part.header, part.header.encoding
    if encoding == "base64":
        return header.octets, _base64_of(part, _decoded_base64(part.body) + said)
    if encoding == "quoted-printable":
        return header.octets, part.body + _in_quoted_printable(said)
    if encoding == "7bit" and not said.isascii():
        if part.whole:
            return header.with_encoding("quoted-printable"), _in_quoted_printable(part.body + said)
        said = said.decode("utf-8", "replace").encode("ascii", "replace")
    return header.octets, part.body + said


def _rewritten(header: Header, octets: bytes) -> tuple[bytes, bytes]:
    """A body in another charset: all of it is written anew."""
    if header.encoding == "base64":
        return header.octets, _in_base64(octets, like=b"\r\n")
    if header.encoding in {"quoted-printable", "7bit"}:
        return header.with_encoding("quoted-printable"), _in_quoted_printable(octets)
    return header.octets, octets


# ---- HTML ----------------------------------------------------------------------------------------------


def _html(part: Part, octets: bytes, codec: str, disclaimer: Disclaimer) -> tuple[bytes, bytes]:
    """Before the end of the body, where that is said, in letters that every charset has."""
    header, addition = part.header.octets, b"\r\n" + disclaimer.html
    if codec.startswith(_STATEFUL):
        text = octets.decode(codec, "replace")
        at = _place(_BODY_END.finditer(text), _HTML_END.finditer(text), len(text))
        whole = _encoded(text[:at] + addition.decode("ascii") + text[at:], codec, octets)
        mark = codecs.BOM_UTF16_BE if octets.startswith(codecs.BOM_UTF16_BE) else codecs.BOM_UTF16_LE
        whole = mark + whole if codec == "utf-16" else whole
        return _whole_body(part, whole)
    raw, encoding = part.body, part.header.encoding
    if encoding in _IDENTITY:
        at = _place_of_octets(raw)
        return header, raw[:at] + addition + raw[at:]
    if encoding == "quoted-printable":
        at = _place_of_octets(raw)
        if at < len(raw) or not _BODY_END_OCTETS.search(octets):
            # The addition begins and ends with a line end: what it divides needs no soft break.
            return header, raw[:at] + _in_quoted_printable(addition) + raw[at:]
    at = _place_of_octets(octets)
    return _whole_body(part, octets[:at] + addition + octets[at:])


def _whole_body(part: Part, octets: bytes) -> tuple[bytes, bytes]:
    if part.header.encoding == "base64":
        return part.header.octets, _base64_of(part, octets)
    if part.header.encoding == "quoted-printable":
        return part.header.octets, _in_quoted_printable(octets)
    return part.header.octets, octets


def _place_of_octets(octets: bytes) -> int:
    return _place(_BODY_END_OCTETS.finditer(octets), _HTML_END_OCTETS.finditer(octets), len(octets))


def _place(bodies: Iterable[Found], documents: Iterable[Found], end: int) -> int:
    """Where the last end tag of the body stands, else that of the document, else the end."""
    for tags in (bodies, documents):
        places = [found.start() for found in tags]
        if places:
            return places[-1]
    return end


# ---- transfer encodings and charsets -------------------------------------------------------------------


def can_read(header: Header) -> bool:
    """Return whether the part's transfer encoding is known."""
    return header.encoding in _KNOWN


def _octets(part: Part) -> bytes | None:
    try:
        if part.header.encoding == "base64":
            return _decoded_base64(part.body)
        return binascii.a2b_qp(part.body) if part.header.encoding == "quoted-printable" else part.body
    except binascii.Error:
        return None


def _decoded_base64(body: bytes) -> bytes:
    return binascii.a2b_base64(body)


def _base64_of(part: Part, octets: bytes) -> bytes:
    said = _in_base64(octets, like=part.body)
    return said if part.whole else b"\r\n" + said


def _in_base64(octets: bytes, *, like: bytes) -> bytes:
    lines = (octets[at : at + _BASE64_LINE] for at in range(0, len(octets), _BASE64_LINE))
    said = b"\r\n".join(binascii.b2a_base64(line, newline=False) for line in lines)
    return said + b"\r\n" if like.endswith(b"\n") else said


def _in_quoted_printable(octets: bytes) -> bytes:
    said = binascii.b2a_qp(octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), istext=True)
    return said.replace(b"\n", b"\r\n")


def _codec(header: Header) -> str:
    """Python's name of the part's charset; of an unknown one ASCII, whose letters nearly all have."""
    said = header.type.parameters.get("charset", "us-ascii").strip().lower()
    try:
        name = codecs.lookup(said or "us-ascii").name
        "".encode(name)
    except (LookupError, ValueError):
        return "ascii"
    return name if name not in _NO_CHARSETS else "ascii"

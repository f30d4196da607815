"""Display names: read from what people write (RFC 5322 §3.2.5, RFC 2047), and written as it should be."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
import unicodedata
from typing import Final

MOST: Final = 255
"""Characters of a name that are kept."""

_ENCODED_WORD: Final = 75
"""Octets of an encoded word (RFC 2047 §2)."""

_WORD: Final = re.compile(r"=\?([A-Za-z0-9_.:+-]+)(?:\*[A-Za-z0-9-]*)?\?([bBqQ])\?([^?\s]*)\?=")
_BETWEEN: Final = re.compile(r"(?<=\?=)\s+(?==\?[A-Za-z0-9_.:+*-]+\?[bBqQ]\?)")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_RIGHT_WORD: Final = re.compile(r'[A-Za-z0-9!#$%&\'*+/=?^_`{|}~-]+|"(?:[\x20!#-\[\]-~]|\\[\x20-~])*"', re.DOTALL)
_RIGHT: Final = re.compile(rf"(?:{_RIGHT_WORD.pattern})(?:[ \t]+(?:{_RIGHT_WORD.pattern}))*")
_UNWANTED: Final = frozenset({"Cc", "Zl", "Zp", "Cs", "Co", "Cn"})
_DIRECTIONS: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def name_in(phrase: str) -> str:
    """Return what a phrase says, on one line: quotes and encoded words read, whatever could break a field left out."""
    # What is longer is cut: looking for the end of a quotation from each of many beginnings would take hours.
    text = _QUOTED.sub(lambda found: _ESCAPED.sub(r"\1", found[1]), phrase[: 4 * MOST])
    if "=?" in text:
        text = _decoded_words(_BETWEEN.sub("", text))
    return plain(text)


def plain(text: str) -> str:
    """Return a text as a name may have it: control characters are blanks, overrides of direction go; bounded."""
    if not text.isascii() or not text.isprintable():
        text = _DIRECTIONS.sub("", _readable(text))
        text = "".join(" " if unicodedata.category(letter) in _UNWANTED else letter for letter in text)
    return " ".join(text.split())[:MOST]


def words_of(phrase: str) -> list[bytes]:
    """Return a display name's words to write: those of `phrase` where it is right already, else the same anew."""
    if len(phrase) <= MOST and _right(phrase):
        return [found[0].encode("ascii") for found in _RIGHT_WORD.finditer(phrase)]
    return words_for(name_in(phrase))


def words_for(name: str) -> list[bytes]:
    """Return the words of a phrase that says `name`: atoms, one quoted string, or encoded words. None of them folds."""
    name = plain(name)
    if not name:
        return []
    if not name.isascii() or "=?" in name:
        return _encoded_words(name)
    if _ATOMS.fullmatch(name):
        return name.encode("ascii").split(b" ")
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{quoted}"'.encode("ascii")]


def _right(phrase: str) -> bool:
    """True where a phrase can stay as it is: RFC 5322's, its encoded words RFC 2047's, and nothing hidden in them."""
    if not phrase.isascii() or not _RIGHT.fullmatch(phrase):
        return False
    if "=?" not in phrase:
        return True
    words = [found[0] for found in _RIGHT_WORD.finditer(phrase)]
    for word in words:
        if "=?" in word and (len(word) > _ENCODED_WORD or not _WORD.fullmatch(word)):
            return False
    told = _decoded_words(_BETWEEN.sub("", phrase))
    return "\ufffd" not in told and not any(unicodedata.category(letter) in _UNWANTED for letter in told)


def _decoded_words(text: str) -> str:
    said: list[str] = []
    position = 0
    charset, held = "", b""
    for found in _WORD.finditer(text):
        octets = _octets(found[2], found[3])
        if held and (found.start() > position or found[1].lower() != charset):
            said.append(_decoded(held, charset))
            held = b""
        said.append(text[position : found.start()])
        # A character may be divided between encoded words, which RFC 2047 forbids and programs do.
        charset, held = found[1].lower(), held + octets
        position = found.end()
    said += (_decoded(held, charset), text[position:])
    return "".join(said)


def _octets(encoding: str, text: str) -> bytes:
    octets = text.encode("utf-8", "surrogateescape")
    if encoding in "qQ":
        return quopri.decodestring(octets.replace(b"_", b"=20"))
    try:
        return base64.b64decode(octets + b"=" * (-len(octets) % 4))
    except binascii.Error:
        return octets


def _decoded(octets: bytes, charset: str) -> str:
    if not octets:
        return ""
    try:
        return octets.decode(charset, "replace")
    except (LookupError, ValueError):
        return octets.decode("utf-8", "replace")


def _readable(text: str) -> str:
    """Raw octets that are no UTF-8 are most likely Windows' letters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return text


def _encoded_words(name: str) -> list[bytes]:
    """The shorter of B and Q for the whole name, cut between characters (RFC 2047 §5)."""
    octets = name.encode("utf-8")
    by_q = _cost(octets) <= (len(octets) + 2) // 3 * 4
    room = _ENCODED_WORD - len("=?utf-8?q??=")
    most = room if by_q else room // 4 * 3
    words: list[bytes] = []
    held, size = b"", 0
    for letter in name:
        one = letter.encode("utf-8")
        cost = _cost(one) if by_q else len(one)
        if size + cost > most:
            words.append(_encoded_word(held, by_q))
            held, size = b"", 0
        held, size = held + one, size + cost
    return [*words, _encoded_word(held, by_q)]


def _cost(octets: bytes) -> int:
    """Octets that they take by Q."""
    return sum(1 if _literal(octet) else 3 for octet in octets)


def _encoded_word(octets: bytes, by_q: bool) -> bytes:
    if not by_q:
        return b"=?utf-8?b?" + base64.b64encode(octets) + b"?="
    text = "".join("_" if octet == 32 else chr(octet) if _literal(octet) else f"={octet:02X}" for octet in octets)
    return f"=?utf-8?q?{text}?=".encode("ascii")


def _literal(octet: int) -> bool:
    # RFC 2047 §5 (3): what a phrase allows, and the blank, which is written as an underscore.
    return octet < 128 and (chr(octet).isalnum() or octet in b" !*+-/")

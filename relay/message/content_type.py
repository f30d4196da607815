"""What a MIME header says of its body (RFC 2045 §5, RFC 2183), read from its octets as leniently as mail needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

_MOST: Final = 8192
"""Octets of a value that are read."""

_COMMENT: Final = re.compile(r'("(?:[^"\\]|\\.)*")|\([^()]*\)', re.DOTALL)
_KIND: Final = re.compile(r"\s*([^\s;/\"]+/[^\s;/\"]+)\s*(?:;|$)")
_PARAMETER: Final = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"?|[^\s;]*)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_CONTINUED: Final = re.compile(r"(.+?)\*(?:(\d{1,2})\*?)?")


@dataclass(frozen=True, slots=True)
class Declared:
    """A value with parameters: `kind` in lower case, `text/plain` where nothing readable is said (RFC 2045 §5.2)."""

    kind: str = "text/plain"
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The part before the slash."""
        return self.kind.partition("/")[0]


def declared(value: bytes) -> Declared:
    """Read the value of Content-Type."""
    text = _plain(value)
    found = _KIND.match(text)
    return Declared(found[1].lower() if found else "text/plain", _parameters(text))


def disposition(value: bytes) -> Declared:
    """Read the value of Content-Disposition; `kind` is `inline` or `attachment`."""
    text = _plain(value)
    return Declared(text.partition(";")[0].strip().lower(), _parameters(text))


def _plain(value: bytes) -> str:
    text = value[:_MOST].decode("utf-8", "surrogateescape").replace("\r\n", "")
    return _COMMENT.sub(lambda found: found[1] or " ", text) if "(" in text else text


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    continued: dict[str, list[tuple[int, str]]] = {}
    for name, value in _PARAMETER.findall(text):
        read = _ESCAPED.sub(r"\1", value[1:].removesuffix('"')) if value.startswith('"') else value
        parts = _CONTINUED.fullmatch(name.lower()) if "*" in name else None
        if parts is None:
            found.setdefault(name.lower(), read)
        else:
            # RFC 2231: name*=charset'language'value, or name*0, name*1 and so on.
            said = _percent(read) if name.endswith("*") else read
            continued.setdefault(parts[1], []).append((int(parts[2] or 0), said))
    for name, pieces in continued.items():
        found.setdefault(name, "".join(said for _, said in sorted(pieces)))
    return found


def _percent(value: str) -> str:
    charset, quote, rest = value.partition("'")
    octets = unquote_to_bytes(rest.partition("'")[2] if quote else value)
    try:
        return octets.decode(charset or "utf-8", "replace") if quote else octets.decode("utf-8", "replace")
    except LookupError:
        return octets.decode("utf-8", "replace")

"""xtext, in which ENVID and ORCPT carry their values (RFC 3461 §4)."""

from __future__ import annotations

import re

_ENCODED = re.compile(r"\+([0-9A-F]{2})")
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


def xtext_decoded(text: str) -> str:
    """Return what an xtext stands for; what is not well-formed stays as it is."""
    octets = _ENCODED.sub(lambda found: chr(int(found[1], 16)), text)
    try:
        return octets.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return octets


def unitext_decoded(text: str) -> str:
    r"""Return a `utf-8` address of ORCPT with its `\x{...}` as letters (RFC 6533 §3); anything else as it is."""
    return _UNICODE.sub(lambda found: _letter(found[0], int(found[1], 16)), text)


def _letter(written: str, number: int) -> str:
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else written

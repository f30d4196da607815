"""Durations and sizes as they stand in relay.toml: `"250ms"`, `"35MiB"`."""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, ValidationInfo

from relay.config.mistake import mistake

SECONDS: Final = {"ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400", "w": "604800"}
OCTETS: Final = {"B": "1", "KiB": "1024", "MiB": "1048576", "GiB": "1073741824", "KB": "1000", "MB": "1000000"}

# Ten years: beyond it a duration is a slip of the keyboard, and would overflow a date.
LONGEST: Final = 3650 * 86400.0
LARGEST: Final = 1 << 50

_QUANTITY: Final = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*")


class TextForm:
    """Marks a type that is written as a string in relay.toml although its value is none."""


def duration_from(text: str) -> float:
    """Seconds of a duration such as `"90s"`; raises ValueError saying what is wrong and what to do."""
    return float(_quantity(text, SECONDS, "a duration", "30s"))


def size_from(text: str) -> int:
    """Octets of a size such as `"35MiB"`; raises ValueError saying what is wrong and what to do."""
    return int(_quantity(text, OCTETS, "a size", "35MiB"))


def duration_text(seconds: float) -> str:
    """The shortest spelling that duration_from reads back: `300.0` is `"5m"`."""
    milliseconds = round(seconds * 1000)
    for unit in ("w", "d", "h", "m", "s"):
        length = int(SECONDS[unit]) * 1000
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms"


def size_text(octets: int) -> str:
    """The shortest spelling that size_from reads back: `36700160` is `"35MiB"`."""
    for unit in ("GiB", "MiB", "KiB"):
        if octets and octets % int(OCTETS[unit]) == 0:
            return f"{octets // int(OCTETS[unit])}{unit}"
    return f"{octets}B"


def _quantity(text: str, factors: dict[str, str], what: str, example: str) -> Decimal:
    units = ", ".join(factors)
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text:.40}" is not {what}; write a number and one of {units}, such as "{example}"')
    number, unit = found.groups()
    if not unit:
        raise ValueError(f'"{text}" has no unit; write a number and one of {units}, such as "{example}"')
    if unit not in factors:
        meant = [name for name in factors if name.casefold() == unit.casefold()]
        cure = f'write "{number}{meant[0]}"' if meant else f'use one of {units}, such as "{example}"'
        raise ValueError(f'"{unit}" is no unit of {what}; {cure}')
    return Decimal(number) * Decimal(factors[unit])


def _number(value: object, info: ValidationInfo, what: str, example: str) -> int | float:
    # Only a program (no context) may give the number itself; in a file it would lack its unit.
    if isinstance(value, str):
        try:
            return duration_from(value) if what == "a duration" else size_from(value)
        except ValueError as error:
            wrong, _, cure = str(error).partition("; ")
            raise mistake(wrong, cure) from error
    if isinstance(value, int | float) and not isinstance(value, bool):
        if info.context is None:
            return value
        raise mistake(f"{what} needs quotes and a unit", f'write it like "{example}"')
    raise mistake(f"expected {what} in quotes", f'write it like "{example}"')


def _duration(value: object, info: ValidationInfo) -> object:
    seconds = _number(value, info, "a duration", "30s")
    if not 0 < seconds <= LONGEST:
        raise mistake("the duration is out of range", 'write one above "0s" and at most "3650d"')
    return float(seconds)


def _size(value: object, info: ValidationInfo) -> object:
    octets = _number(value, info, "a size", "35MiB")
    if not 0 <= octets <= LARGEST:
        raise mistake("the size is out of range", 'write one of at most "1048576GiB"')
    return int(octets)


Duration = Annotated[float, TextForm(), BeforeValidator(_duration)]
"""Seconds. In relay.toml a decimal number and ms, s, m, h, d or w."""

Size = Annotated[int, TextForm(), BeforeValidator(_size)]
"""Octets. In relay.toml a decimal number and B, KiB, MiB, GiB, KB or MB."""

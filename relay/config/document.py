"""relay.toml as read: its tables, and where each key stands."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from relay.config.places import places_of
from relay.config.problems import Fault, KeyPath, Problem, key_text

ENVIRONMENT: Final = "environment"
"""Stands for the file's name where a variable is at fault."""

# A configuration has a few kilobytes; what is larger was named by mistake, and would be read into memory.
LARGEST_FILE: Final = 4 << 20

_AT_LINE: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")
_CURES: Final = (
    ("Invalid value", 'put a text in "quotes"; numbers, true and false stand without'),
    ("Expected '=' after a key", "write key = value on one line"),
    ("Expected newline or end of document", "write one key = value on each line, and a text's inner quotes as \\\""),
    ("Cannot declare", "merge the two tables of this name"),
    ("Cannot overwrite", "remove one of the two"),
    ("Cannot mutate", "remove one of the two"),
    ("Duplicate inline table key", "remove one of the two"),
    ("Unclosed array", "close the list with ]"),
    ("Unclosed inline table", "close it with } on the same line"),
    ("Unterminated string", "close the text with a quote"),
    ("Illegal character", "close the text with a quote on the same line"),
    ("Unescaped '\\'", "write each \\ as \\\\, or use 'single quotes'"),
    ("Invalid hex", "write each \\ as \\\\, or use 'single quotes'"),
    ("Expected ']' at the end of a table", 'write [table] or [table."name"]'),
    ("Invalid initial character for a key part", 'put the name in "quotes"'),
    ("Invalid date", "write it like 2026-12-24T00:00:00Z"),
)


@dataclass(slots=True)
class Document:
    """The tables of the file, with what the environment put over them; `variables` names what came from there."""

    file: str
    tables: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    variables: dict[KeyPath, str] = field(default_factory=dict)

    def problem(self, fault: Fault) -> Problem:
        """The fault with its place: the line of the nearest key or table that is written down, or the variable."""
        path = self._written(fault.path)
        if path in self.variables:
            return Problem(ENVIRONMENT, None, self.variables[path], fault.text)
        shown = [part for part in fault.path if isinstance(part, str)]
        line = next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)
        return Problem(self.file, line, key_text(shown), fault.text)

    def _written(self, path: KeyPath) -> KeyPath:
        for end in range(len(path), 0, -1):
            if path[:end] in self.variables or path[:end] in self.lines:
                return path[:end]
        return ()


def read_document(path: Path) -> Document | Problem:
    """The file's tables; a file that can't be read, or isn't TOML, is one problem that stands alone."""
    try:
        with path.open("rb") as file:
            octets = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return Problem(str(path), None, "", "there is no such file; name it with --config, or write one")
    except IsADirectoryError:
        return Problem(str(path), None, "", "this is a folder; name the file in it with --config")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        mine = isinstance(error, PermissionError)
        cure = "give the user that runs relay the right to" if mine else "once that is mended, try again"
        return Problem(str(path), None, "", f"cannot be read ({reason}); {cure}")
    if len(octets) > LARGEST_FILE:
        return Problem(str(path), None, "", "too large to be a configuration; name the right file with --config")
    return document_from(octets, str(path))


def document_from(octets: bytes, file: str) -> Document | Problem:
    """The tables of a configuration that has been read from `file`."""
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        return Problem(file, line, "", "not UTF-8; save the file as UTF-8")
    text = text.replace("\r\n", "\n")
    try:
        tables = tomllib.loads(text)
        return Document(file, tables, places_of(text))
    except tomllib.TOMLDecodeError as error:
        return _syntax_problem(text, file, str(error))
    except RecursionError:
        return Problem(file, None, "", "lists or tables are nested too deeply; write them flat")
    except ValueError:
        # int() refuses numbers of more than 4,300 digits.
        lines = enumerate(text.split("\n"), 1)
        place = next((number for number, line in lines if re.search(r"\d{4300}", line)), None)
        return Problem(file, place, "", "a number has too many digits; write a shorter one")


def _syntax_problem(text: str, file: str, said: str) -> Problem:
    found = _AT_LINE.search(said)
    what = _AT_LINE.sub("", said).removesuffix(" (at end of document)")
    last = text.rstrip().count("\n") + 1
    line = min(int(found[1]), last) if found else last
    key = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", text.split("\n")[line - 1])
    cure = next((cure for start, cure in _CURES if what.startswith(start)), "correct this line")
    return Problem(file, line, key[1] if key else "", f"not TOML: {what}; {cure}")

"""The line of every key of a TOML text, which tomllib doesn't tell."""

import re
import tomllib
from collections.abc import Mapping
from typing import Final

from relay.config.problems import KeyPath

_TOKEN: Final = re.compile(
    r'(?P<string>"""(?:\\.|[^\\])*?""""{0,2}'
    r"|'''.*?''''{0,2}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*')"
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<newline>\n)"
    r"|(?P<space>[ \t\r]+)"
    r"|(?P<mark>[\[\]{}=,.])"
    r"|(?P<bare>[^\s\[\]{}=,.#\"']+)",
    re.DOTALL,
)


def places_of(text: str) -> Mapping[KeyPath, int]:
    """The line, counted from 1, of each table, key and list item of a text that tomllib accepts."""
    scan = _Scan(text)
    while scan.kind is not None:
        scan.statement()
    return scan.places


class _Scan:
    """One pass over the tokens; trusts that the text is valid TOML."""

    def __init__(self, text: str) -> None:
        self.places: dict[KeyPath, int] = {}
        self._latest: dict[KeyPath, int] = {}
        self._table: KeyPath = ()
        self._line = 1
        self._tokens = _TOKEN.finditer(text)
        self.kind: str | None = "newline"
        self._text = ""
        self._advance()

    def statement(self) -> None:
        """A header, a key with its value, or an empty line."""
        if self.kind == "newline":
            self._advance()
        elif self._text == "[":
            self._header()
        else:
            self._pair(self._table)

    def _advance(self) -> None:
        self._line += self._text.count("\n")
        for token in self._tokens:
            self.kind, self._text = token.lastgroup, token.group()
            if self.kind not in {"space", "comment"}:
                return
        self.kind, self._text = None, ""

    def _skip_newlines(self) -> None:
        while self.kind == "newline":
            self._advance()

    def _key(self) -> list[tuple[str, int]]:
        """The parts of a dotted key, each with its line; ends before `=` or `]`."""
        parts = []
        while self.kind is not None and self._text not in {"=", "]"}:
            if self.kind == "string":
                parts.append((str(tomllib.loads(f"key = {self._text}")["key"]), self._line))
            elif self.kind == "bare":
                parts.append((self._text, self._line))
            self._advance()
        return parts

    def _header(self) -> None:
        self._advance()
        several = self._text == "["
        if several:
            self._advance()
        parts = self._key()
        path: KeyPath = ()
        for number, (part, line) in enumerate(parts, 1):
            path = (*path, part)
            self.places.setdefault(path, line)
            if several and number == len(parts):
                self._latest[path] = self._latest.get(path, -1) + 1
            if path in self._latest:
                path = (*path, self._latest[path])
                self.places.setdefault(path, line)
        self._table = path
        if parts:
            self.places[path] = min(self.places[path], parts[-1][1]) if several else parts[-1][1]
        while self._text == "]":
            self._advance()

    def _pair(self, table: KeyPath) -> None:
        path = table
        for part, line in self._key():
            path = (*path, part)
            self.places.setdefault(path, line)
        self._advance()
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._text == "[":
            self._array(path)
        elif self._text == "{":
            self._inline_table(path)
        else:
            while self.kind in {"string", "bare"} or self._text == ".":
                self._advance()

    def _array(self, path: KeyPath) -> None:
        self._advance()
        index = 0
        self._skip_newlines()
        while self.kind is not None and self._text != "]":
            self.places[(*path, index)] = self._line
            self._value((*path, index))
            self._skip_newlines()
            if self._text == ",":
                self._advance()
                index += 1
            self._skip_newlines()
        self._advance()

    def _inline_table(self, path: KeyPath) -> None:
        self._advance()
        self._skip_newlines()
        while self.kind is not None and self._text != "}":
            self._pair(path)
            self._skip_newlines()
            if self._text == ",":
                self._advance()
            self._skip_newlines()
        self._advance()

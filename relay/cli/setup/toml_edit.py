"""Changes to a text in TOML that leave everything else as it was: comments, order, blanks, unknown keys."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import tomlkit
from pydantic import BaseModel
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from relay.cli.setup.toml_text import string, value


class Edit:
    """A text that is being changed. Raises ValueError where it is no TOML, or has a table where none can be added."""

    def __init__(self, text: str) -> None:
        try:
            self._document = tomlkit.parse(text)
        except (TOMLKitError, ValueError) as error:
            raise ValueError(f"not TOML: {error}") from error
        self._expected: dict[str, Any] = tomllib.loads(text)
        self._top: list[str] = []
        self._new: list[str] = []

    def top(self, keys: Mapping[str, Any]) -> None:
        """Set keys above the first table; None takes one away."""
        from relay.config.settings import GeneralSettings

        self._expect((), keys)
        for key, wanted in keys.items():
            if key in self._document:
                _change(self._document, key, wanted)
            elif wanted is not None:
                self._top.append(_line(key, wanted, GeneralSettings))

    def table(
        self, path: tuple[str, ...], title: str, keys: Mapping[str, Any], model: type[BaseModel] | None = None
    ) -> None:
        """Set keys of a table; None takes one away. A table that isn't there is added at the end, with its title."""
        found: Any = self._document
        for part in path:
            found = found.get(part) if hasattr(found, "get") else None
        wanted = {key: one for key, one in keys.items() if one is not None}
        if found is None:
            if not wanted:
                return
            self._expect(path, wanted)
            name = ".".join([path[0], *map(string, path[1:])])
            lines = [_line(key, one, model) for key, one in wanted.items()]
            self._new.append("\n".join([f"# {title}", f"[{name}]", *lines]) + "\n")
            return
        if not hasattr(found, "keys"):
            raise ValueError(f"{'.'.join(path)} is no table")
        self._expect(path, keys)
        for key, one in keys.items():
            if key in found:
                _change(found, key, one)
            elif one is not None:
                _add(found, key, _item(one, "" if isinstance(found, InlineTable) else _meaning(key, model)))

    def _expect(self, path: tuple[str, ...], keys: Mapping[str, Any]) -> None:
        table: Any = self._expected
        for part in path:
            table = table.setdefault(part, {}) if isinstance(table, dict) else None
        if not isinstance(table, dict):
            raise ValueError(f"{'.'.join(path)} is no table")
        for key, one in keys.items():
            if one is not None:
                table[key] = one
            else:
                table.pop(key, None)

    def text(self) -> str:
        """Return the whole text with the changes. Raises ValueError where they can't be made."""
        whole = tomlkit.dumps(self._document)
        if self._top:
            whole = _inserted(whole, "\n".join(self._top) + "\n")
        parts = [whole.rstrip("\n") + "\n" if whole.strip() else "", *self._new]
        text = "\n".join(part for part in parts if part)
        try:
            done = tomllib.loads(text) == self._expected
        except tomllib.TOMLDecodeError:
            done = False
        if not done:
            raise ValueError("has tables in a form that can't be added to")
        return text


def _change(table: Any, key: str, wanted: Any) -> None:
    if wanted is None:
        table.remove(key)
    elif _plain(table[key]) != wanted:
        table[key] = _item(wanted, "")


def _add(table: Any, key: str, item: Any) -> None:
    """Add a key below the last one: what is below that, blanks and comments, belongs to the next table."""
    body = table.value.body
    below: list[tuple[Any, Any]] = []
    while body and body[-1][0] is None:
        below.insert(0, body.pop())
    table.add(key, item)
    body.extend(below)


def _plain(item: Any) -> Any:
    return item.unwrap() if hasattr(item, "unwrap") else item


def _item(wanted: Any, meaning: str) -> Any:
    item = tomlkit.item(tomlkit.value(value(wanted)))
    if meaning:
        item.comment(meaning)
        item.trivia.comment_ws = "  "
    return item


def _line(key: str, wanted: Any, model: type[BaseModel] | None) -> str:
    meaning = _meaning(key, model)
    return f"{key} = {value(wanted)}" + (f"  # {meaning}" if meaning else "")


def _meaning(key: str, model: type[BaseModel] | None) -> str:
    field = model.model_fields.get(key) if model is not None else None
    return field.description or "" if field is not None else ""


def _inserted(whole: str, new: str) -> str:
    """Put lines above the first table, and below what the file says of itself."""
    lines = whole.splitlines(keepends=True)
    first = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    if first == len(lines):
        return f"{whole.rstrip()}\n\n{new}" if whole.strip() else new
    at = first
    if lines[first].startswith("["):
        # The comment of the table stays with it.
        while at > 0 and lines[at - 1].startswith("#"):
            at -= 1
        at, new = at or first, new + "\n"
    return "".join([*lines[:at], new, *lines[at:]])

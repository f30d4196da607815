"""Keys that are accepted although what they ask for isn't built yet: warned of by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from relay.config.problems import Fault, KeyPath


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A key of a table, or (key None) a whole table, whose effect isn't there.

    `values`: only these values have no effect yet; empty: any value but those in `built`.
    """

    table: str
    key: str | None = None
    values: tuple[object, ...] = ()
    built: tuple[object, ...] = ()
    types: tuple[str, ...] = ()

    def concerns(self, table: Mapping[str, Any], key: str) -> bool:
        """Whether this key of that table asks for what isn't there."""
        if self.key != key or (self.types and table.get("type") not in self.types):
            return False
        value = table[key]
        if self.values:
            return any(value == each for each in self.values)
        return all(value != each for each in self.built)


WARNED: Final = (Unbuilt("console", "address"),)
"""`check` and `serve` warn of these and go on. What gets built is taken off the list."""


def warned(tables: Mapping[str, Any]) -> Iterator[Fault]:
    """A warning for each key that has no effect yet."""
    for path, _ in _found(tables, WARNED):
        what = f'[identity."{path[-1]}"]' if path[0] == "identity" else f'"{path[-1]}"'
        yield Fault(path, f"{what} has no effect yet; it is read, and otherwise left alone")


def _found(tables: Mapping[str, Any], unbuilt: tuple[Unbuilt, ...]) -> Iterator[tuple[KeyPath, object]]:
    for path, table in _tables(tables):
        for each in unbuilt:
            if each.table != path[0]:
                continue
            if each.key is None:
                yield path, None
            elif each.key in table and each.concerns(table, each.key):
                yield (*path, each.key), table[each.key]


def _tables(tables: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Every table with its path: [queue] as well as [client.NAME]."""
    for group, table in tables.items():
        if not isinstance(table, dict):
            continue
        inner = {name: value for name, value in table.items() if isinstance(value, dict)}
        if group in {"listener", "client", "identity", "upstream"}:
            yield from (((group, name), value) for name, value in inner.items())
        else:
            yield (group,), table

"""Configuration written by tests as dictionaries."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""A string, number, boolean, path, datetime, list of such, or table: whatever TOML has."""

SECRET_KINDS = frozenset({"env", "file", "sealed", "aws"})


def toml_text(table: Mapping[str, Value]) -> str:
    """TOML for nested dictionaries; those that refer to a secret ({"env": "NAME"}) are written inline."""
    lines: list[str] = []
    _write(table, (), lines)
    return "\n".join(lines) + "\n"


def _write(table: Mapping[str, Value], path: tuple[str, ...], lines: list[str]) -> None:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping) and not _inline(value)}
    plain = {key: value for key, value in table.items() if key not in inner}
    if path and (plain or not inner):
        lines.append("[" + ".".join(json.dumps(part) for part in path) + "]")
    lines.extend(f"{key} = {_value(value)}" for key, value in plain.items())
    for key, value in inner.items():
        assert isinstance(value, Mapping)
        _write(value, (*path, key), lines)


def _inline(value: Mapping[str, Value]) -> bool:
    return bool(SECRET_KINDS & value.keys()) and not any(isinstance(part, Mapping) for part in value.values())


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(part)}" for key, part in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    return json.dumps(str(value))

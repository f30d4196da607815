"""Values as they are written in TOML."""

from __future__ import annotations

from typing import Any


def string(text: str) -> str:
    """Return a basic string."""
    return value(text)


def value(anything: Any) -> str:
    """Return a text, number, date, list or inline table (a dictionary) of such."""
    import tomlkit

    if isinstance(anything, dict):
        inside = ", ".join(f"{key} = {value(part)}" for key, part in anything.items())
        return f"{{ {inside} }}"
    if isinstance(anything, list):
        return f"[{', '.join(map(value, anything))}]"
    return str(tomlkit.item(anything).as_string())

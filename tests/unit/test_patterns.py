"""Regular expressions that every Python we run on reads alike."""

import re
from pathlib import Path

import relay

SOURCES = sorted(Path(relay.__file__).parent.rglob("*.py"))


def test_no_group_is_repeated_possessively() -> None:
    # Debian 12's Python 3.11.2 misses matches of such a group where something in it backtracks: python/cpython#106052.
    group = re.compile(r"(?<!\\)\)[*+?]\+")
    assert len(SOURCES) > 200
    assert [str(path) for path in SOURCES if group.search(path.read_text())] == []

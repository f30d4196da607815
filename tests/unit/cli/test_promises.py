"""What Relay's texts and pages tell people to type exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup

from relay.cli.command import application

_ROOT = Path(__file__).parents[3]
_PROMISED = {"setup", "doctor", "explain"}
"""Words of the contract that no sentence uses after "relay" but as a command."""
_KINDS = {".py", ".toml", ".txt", ".mako", ".md", ".service", ".yaml", ".yml", ".example"}


def _texts() -> Iterator[Path]:
    for folder in ("relay", "docs", "deploy"):
        yield from (path for path in sorted((_ROOT / folder).rglob("*")) if path.suffix in _KINDS)
    yield _ROOT / "README.md"


def test_no_text_names_a_command_that_is_not_there() -> None:
    root = typer.main.get_command(application())
    assert isinstance(root, TyperGroup)
    absent = [re.compile(rf"\brelay {word}\b") for word in sorted(_PROMISED - set(root.commands))]
    texts = {path: path.read_text("utf-8") for path in _texts()}
    assert [str(path) for path, text in texts.items() if any(named.search(text) for named in absent)] == []

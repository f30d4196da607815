"""What people are told of a cause and its remedy stands in one place: in no second table, data file or module."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[3] / "relay"
DIAGNOSES = PACKAGE / "diagnosis"
PLAYED = PACKAGE / "simulator"
"""What providers say is theirs, and they repeat themselves."""

LEAST_WORDS = 7
"""What is shorter is a phrase, which everybody uses more than once."""

PATTERNS = frozenset({"text", "or_text", "words"})
"""Keys whose values are looked for in what others say; two tables may look for the same."""

_COMMAND = re.compile(r"[A-Z][a-z]+-[A-Z]\w+ |relay |.* > .* > ")
"""PowerShell, our own commands and ways through a portal, which the remedies of different causes share."""


def _files(pattern: str) -> Iterator[Path]:
    return (path for path in sorted(PACKAGE.rglob(pattern)) if PLAYED not in path.parents)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in PATTERNS:
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _literals(path: Path) -> Iterator[str]:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    constants = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return (node.value for node in constants if isinstance(node.value, str))


def _sentences(text: str) -> set[str]:
    parts = (" ".join(part.split()).strip(" .:;,") for part in re.split(r"(?<=[.:;?])\s+|\n+", text))
    return {part for part in parts if len(part.split()) >= LEAST_WORDS and not _COMMAND.match(part)}


def _places() -> dict[str, list[str]]:
    """Return where each sentence stands; those of one table count once."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in _files("*.toml"):
        for key, entry in tomllib.loads(path.read_text("utf-8")).items():
            for sentence in {one for text in _texts(entry) for one in _sentences(text)}:
                places[sentence].append(f"{path.relative_to(PACKAGE)} {key}")
    for path in _files("*.py"):
        for sentence in {one for text in _literals(path) for one in _sentences(text)}:
            places[sentence].append(str(path.relative_to(PACKAGE)))
    return places


def test_no_sentence_of_a_diagnosis_is_written_twice() -> None:
    folder = f"{DIAGNOSES.name}/"
    ours = {sentence: found for sentence, found in _places().items() if any(at.startswith(folder) for at in found)}
    assert len(ours) > 400, "the diagnoses were not read"
    assert {sentence: found for sentence, found in ours.items() if len(found) > 1} == {}


def test_no_text_of_a_data_file_is_written_twice() -> None:
    counted: dict[str, list[str]] = defaultdict(list)
    for path in _files("*.toml"):
        for key, entry in tomllib.loads(path.read_text("utf-8")).items():
            for text in _texts(entry):
                if " " in text and text.endswith("."):
                    counted[text].append(f"{path.relative_to(PACKAGE)} {key}")
    assert {text: found for text, found in counted.items() if len(found) > 1} == {}

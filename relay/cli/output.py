"""How commands print: JSON where asked, tables on a terminal, tab-separated lines otherwise."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_MILLISECONDS = re.compile(r"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3}Z\Z")
_WHOLE = 24
"""Columns whose values are no longer are not folded."""


class CommandError(Exception):
    """A command can't do what was asked; each of the texts is one line. `status` 1: not well, 2: wrong usage."""

    def __init__(self, *texts: str, status: int = 1) -> None:
        super().__init__("; ".join(texts))
        self.texts = texts
        self.status = status


def say(text: str = "") -> None:
    """Print a line for people."""
    print(text)


def complain(*texts: str) -> None:
    """Print to standard error, a problem a line."""
    for text in texts:
        print(" ".join(text.split()), file=sys.stderr)


def print_json(value: Any) -> None:
    """Print data for programs."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_json_list(values: Iterable[Any]) -> None:
    """Print a list for programs as its members come, so that a long one is never whole in memory."""
    between = "[\n"
    for value in values:
        sys.stdout.write(between + json.dumps(value, ensure_ascii=False))
        between = ",\n"
    sys.stdout.write("[]\n" if between == "[\n" else "\n]\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str, whole: bool = False) -> None:
    """Print rows: a table on a terminal, else a line a row with tabs between, for cut and awk.

    On a terminal long values end in an ellipsis, but for `whole`, where they go on below.
    """
    texts = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in texts:
            print("\t".join(row))
        return
    if not texts:
        print(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    texts = [[_MILLISECONDS.sub(r"\1Z", text) for text in row] for row in texts]
    for at, column in enumerate(columns):
        # An ID that is cut, or broken into two lines, can't be copied.
        width = max(len(column), *(len(row[at]) for row in texts))
        short = width <= _WHOLE
        table.add_column(
            column,
            overflow="fold" if whole else "ellipsis",
            no_wrap=short or not whole,
            min_width=width if short else None,
        )
    for row in texts:
        table.add_row(*map(_plain, row))
    Console(highlight=False).print(table)


def _plain(text: str) -> Any:
    from rich.text import Text

    # Replies and addresses are others' words: never markup.
    return Text(text)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def duration_text(seconds: float) -> str:
    """Write a duration as people say it: `45 s`, `12 min`, `3 h`, `5 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def size_text(octets: int) -> str:
    """Write a size as people say it."""
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if octets >= size:
            return f"{octets / size:.1f} {unit}"
    return f"{octets} B"

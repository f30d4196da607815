"""Steps for an administrator, from the TOML files beside this one and from the diagnoses that say it already."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib import resources
from typing import Any

from relay.cli.output import say
from relay.diagnosis.causes import causes
from relay.diagnosis.names import Names, filled


@dataclass(frozen=True, slots=True)
class Guidance:
    """One step: a sentence, lines to copy (or none), and the vendor's page (or nothing)."""

    text: str
    copy: tuple[str, ...] = ()
    link: str = ""

    def lines(self, number: int) -> list[str]:
        """Write it for people; what is to be copied stands alone on its lines."""
        also = [f"     {line}" for line in self.copy] + ([f"     See: {self.link}"] if self.link else [])
        return [f"  {number}. {self.text}", *also]

    def shape(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {"text": self.text, "copy": list(self.copy), "link": self.link}


def texts_of(provider: str) -> dict[str, Any]:
    """Return the whole file of a provider."""
    return tomllib.loads(resources.files("relay.cli.setup").joinpath(f"{provider}.toml").read_text("utf-8"))


def guidance_of(
    entries: list[dict[str, Any]], holds: Set[str], names: Names, blocks: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Guidance, ...]:
    """Return those entries of which every condition in `when` holds, with the names filled in.

    `blocks`: lines to copy that were made for this case, by the word that an entry has as `block`.
    """
    return tuple(
        step for entry in entries if holds >= set(entry.get("when", ())) for step in _steps(entry, names, blocks or {})
    )


def say_steps(title: str, steps: Sequence[Guidance]) -> None:
    """Print steps, numbered."""
    say(title)
    for number, step in enumerate(steps, 1):
        for line in step.lines(number):
            say(line)
    say()


def _steps(entry: dict[str, Any], names: Names, blocks: Mapping[str, tuple[str, ...]]) -> Iterator[Guidance]:
    copied = blocks.get(entry.get("block", ""), ()) or tuple(filled(line, names) for line in entry.get("copy", ()))
    link = entry.get("link", "")
    if "diagnosis" not in entry:
        yield Guidance(filled(entry["text"], names), copied, link)
        return
    diagnosis = next(cause for cause in causes() if cause.key == entry["diagnosis"]).diagnosis(names)
    for number in entry["steps"]:
        yield Guidance(diagnosis.steps[number], copied, link)

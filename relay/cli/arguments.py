"""What was typed: `--config` and `--json` stand before the command or after its arguments alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arguments:
    """The options that every command takes, and the rest: the command and its own words.

    `problem` is what is wrong with these options, in one line.
    """

    config: str | None
    json: bool
    rest: tuple[str, ...]
    problem: str | None = None

    @property
    def serves(self) -> bool:
        """True for a bare `serve`, which is started without the weight of the command line's libraries."""
        return self.rest == ("serve",) and self.problem is None


def arguments_from(words: list[str]) -> Arguments:
    """Take `--config FILE`, `--config=FILE` and `--json` out of `words`, up to a `--`."""
    config: str | None = None
    json = False
    rest: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            rest += words[position - 1 :]
            break
        if word == "--json":
            json = True
        elif word.startswith("--config="):
            config = word.removeprefix("--config=")
        elif word == "--config":
            if position == len(words):
                return Arguments(None, json, tuple(rest), "--config: a file's name is missing; write --config FILE")
            config = words[position]
            position += 1
        else:
            rest.append(word)
    if config == "":
        return Arguments(None, json, tuple(rest), "--config: the file's name is empty; write --config FILE")
    return Arguments(config, json, tuple(rest))

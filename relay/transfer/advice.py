"""What a failure means and what to do about it, in words for the person who sent the message."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Advice:
    """One or two sentences each."""

    means: str
    do: str


@functools.cache
def known_advice() -> dict[str, Advice]:
    """Return all advice, by key."""
    text = resources.files("relay.transfer").joinpath("advice.toml").read_text("utf-8")
    return {key: Advice(entry["means"], entry["do"]) for key, entry in tomllib.loads(text).items()}


def advice_for(*keys: str) -> Advice:
    """Return the advice of the first key that has one; the last has to."""
    known = known_advice()
    return next(known[key] for key in keys if key in known)

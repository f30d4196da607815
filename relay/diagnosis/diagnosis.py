"""Why something does not go, who must act, and what he must do."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

NOTHING = "Nothing needs to be done: it passes by itself, or is tried again."
"""The step of a diagnosis upon which nobody must act."""

RELEASE_SENDER = "What is held of that sender is sent with: relay queue release --sender {sender}"
"""The last step of a diagnosis upon which only mail of one From is held."""


class Actor(enum.StrEnum):
    """Who must act."""

    IT = "IT person"
    MICROSOFT = "Microsoft administrator"
    GOOGLE = "Google administrator"
    AWS = "AWS administrator"
    VENDOR = "application's vendor"
    SENDER = "sender"
    RECIPIENT = "recipient's administrator"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`title` is a few words, `cause` sentences; `steps` are never empty. Names are filled in; no secret is in it.

    `provider`: the only one of whom it can be true, as `type` of an upstream names it; empty: any. `meanwhile`: what
    the relay does about it, with which `cause` ends.
    """

    key: str
    title: str
    cause: str
    actor: Actor
    steps: tuple[str, ...]
    link: str
    provider: str = ""
    meanwhile: str = ""

    @property
    def lasting(self) -> Diagnosis:
        """The same without what is done meanwhile."""
        return replace(self, cause=self.cause.removesuffix(self.meanwhile).rstrip(), meanwhile="")

    def shape(self) -> dict[str, Any]:
        """Return it as `--json` promises it."""
        return {
            "title": self.title,
            "cause": self.cause,
            "actor": self.actor.value,
            "actions": list(self.steps),
            "link": self.link,
        }


def lines_of(shape: Mapping[str, Any]) -> list[str]:
    """Write a diagnosis's shape for people, the same everywhere; each step is on a line of its own, to be copied."""
    steps = [f"  {number}. {step}" for number, step in enumerate(shape["actions"], 1)]
    see = [f"See: {shape['link']}"] if shape["link"] else []
    return [
        f"Cause: {shape['cause']}",
        f"Who must act: {shape['actor']}",
        *(["What to do:"] if steps else []),
        *steps,
        *see,
    ]

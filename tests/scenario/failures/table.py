"""The table of failures.txt, read; what its columns mean is told at its top."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("failures.txt")
SECTIONS = ("microsoft365", "entra", "gmail", "ses", "network")


@dataclass(frozen=True, slots=True)
class Failure:
    """One row. `diagnosis` is what the trace says, `at_doctor` and `pasted` what doctor and explain say."""

    section: str
    name: str
    played: str
    becomes: str
    step: str
    diagnosis: str
    at_doctor: str
    pasted: str
    actor: str
    part: str

    @property
    def word(self) -> str:
        """The first word of what becomes of it."""
        return self.becomes.partition(" ")[0]

    @property
    def reason(self) -> str:
        """Why its upstream, or the message, is held; empty where neither is."""
        return self.becomes.partition(" ")[2]


def failures(section: str) -> tuple[Failure, ...]:
    """Return the rows of a section, in their order."""
    found = re.search(
        rf"^\[{section}\]\n(.*?)(?=^\[[a-z0-9]+\]\n|\Z)", FILE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert found is not None, section
    return tuple(_failure(section, line) for line in found[1].splitlines() if line)


def _failure(section: str, line: str) -> Failure:
    played, becomes, step, diagnosis, actor, part = (column.strip() for column in line.split(" | "))
    name, _, how = played.partition(" : ")
    pasted, at_doctor = diagnosis, diagnosis
    if " > " in diagnosis:
        diagnosis, _, at_doctor = diagnosis.partition(" > ")
        pasted = diagnosis
    if " ~ " in diagnosis:
        diagnosis, _, pasted = diagnosis.partition(" ~ ")
        at_doctor = diagnosis
    return Failure(section, name, how, becomes, step, diagnosis, at_doctor, pasted, actor, part)

"""The table of diagnoses, read from the *.toml files beside this one, and which of them explains what."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from relay.diagnosis.diagnosis import NOTHING, RELEASE_SENDER, Actor, Diagnosis
from relay.diagnosis.names import Names, filled, names_in

_FILES = {
    "applications": "",
    "exchange_login": "microsoft365",
    "exchange_sending": "microsoft365",
    "doctor": "microsoft365",
    "graph": "microsoft365",
    "gmail": "gmail",
    "entra": "microsoft365",
    "ses": "ses",
    "proxy": "",
    "connection": "",
    "server": "",
    "holds": "",
    "expiry": "",
}
"""Whose each file is. In this order the conditions of one row, and the words of a text, are looked at."""

_KEYS = frozenset(
    "rows text aadsts port host of login words title cause meanwhile actor steps holds link".split()  # noqa: SIM905
)
_HOLDS: Mapping[str, tuple[str, ...]] = {"": (), "sender": (RELEASE_SENDER,)}
_AADSTS = re.compile(r"AADSTS(\d{4,7})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cause:
    """One table of the files; what its keys mean is told at the top of exchange_login.toml."""

    key: str
    provider: str
    rows: tuple[str, ...]
    text: re.Pattern[str] | None
    aadsts: frozenset[str]
    port: str | None
    host: str | None
    of: str | None
    login: str | None
    words: re.Pattern[str] | None
    title: str
    cause: str
    meanwhile: str
    actor: Actor
    steps: tuple[str, ...]
    link: str

    @property
    def conditional(self) -> bool:
        """True where it explains only some of what belongs to its rows."""
        return bool(self.text or self.aadsts or self.port or self.host or self.of or self.login)

    def fits(self, said: str, names: Names) -> bool:
        """True where every condition holds of what was said and of the upstream."""
        return (
            (self.text is None or self.text.search(said) is not None)
            and (not self.aadsts or aadsts_in(said) in self.aadsts)
            and (self.port is None or self.port == names.get("port"))
            and (self.of is None or self.of == names.get("provider"))
            and (self.login is None or self.login == names.get("login"))
            and (self.host is None or names.get("host", "").casefold().rstrip(".").endswith(self.host))
        )

    def diagnosis(self, names: Names) -> Diagnosis:
        """Return it with the names filled in."""
        return Diagnosis(
            self.key,
            self.title,
            " ".join(filter(None, (filled(self.cause, names), self.meanwhile))),
            self.actor,
            tuple(filled(step, names) for step in self.steps),
            filled(self.link, names),
            self.provider,
            self.meanwhile,
        )


@functools.cache
def causes() -> tuple[Cause, ...]:
    """Return the table, in its order."""
    found: dict[str, Cause] = {}
    for name in _FILES:
        text = resources.files("relay.diagnosis").joinpath(f"{name}.toml").read_text("utf-8")
        for key, entry in tomllib.loads(text).items():
            if key in found:
                raise ValueError(f"{name}.toml: {key} stands twice")
            found[key] = _cause(name, key, entry)
    return tuple(found.values())


def diagnosis_for(row: str, said: str, names: Names) -> Diagnosis:
    """Return what explains a row of replies.toml, a cause of a conversation's end, a hold's reason or a notice's kind.

    `said`: the whole reply, code included, or nothing. Raises KeyError for a row that nothing explains.
    """
    cause = next(one for one in _by_row()[row] if one.fits(said, names))
    return cause.diagnosis({**names, **names_in(said), "aadsts": aadsts_in(said)})


def explains(row: str) -> bool:
    """True where there is a diagnosis for it."""
    return row in _by_row()


def diagnosis_by_number(said: str, names: Names) -> Diagnosis | None:
    """Return what explains the AADSTS number in a text; None where it names none, or an unknown one."""
    number = aadsts_in(said)
    found = next((one for one in causes() if number in one.aadsts), None) if number else None
    return found.diagnosis({**names, "aadsts": number}) if found else None


def diagnosis_by_words(said: str, names: Names, provider: str | None = None) -> Diagnosis | None:
    """Return what explains a text by words that belong to one thing only; None where there are none.

    `provider` where it is known whose words these are.
    """
    possible = (one for one in causes() if one.words is not None and provider in {None, one.provider or provider})
    cause = next((one for one in possible if one.words is not None and one.words.search(said)), None)
    if cause is None:
        return None
    if cause.rows and not cause.conditional:
        return diagnosis_for(cause.rows[0], said, names)
    return cause.diagnosis({**names, **names_in(said), "aadsts": aadsts_in(said)})


def aadsts_in(said: str) -> str:
    """Return the first AADSTS number of a text, or nothing."""
    found = _AADSTS.search(said)
    return found[1].lstrip("0") if found else ""


@functools.cache
def _by_row() -> Mapping[str, tuple[Cause, ...]]:
    """Return the causes of each row, the conditional ones first."""
    rows: dict[str, list[Cause]] = {}
    for cause in sorted(causes(), key=lambda one: not one.conditional):
        for row in cause.rows:
            rows.setdefault(row, []).append(cause)
    return {row: tuple(found) for row, found in rows.items()}


def _cause(file: str, key: str, entry: Mapping[str, Any]) -> Cause:
    unknown = entry.keys() - _KEYS
    if unknown:
        raise ValueError(f"{file}.toml: {key}: unknown {', '.join(sorted(unknown))}")
    return Cause(
        key=key,
        provider=_FILES[file],
        rows=tuple(_several(entry.get("rows", key))),
        text=_pattern(entry.get("text")),
        aadsts=frozenset(str(number) for number in _several(entry.get("aadsts", ()))),
        port=str(entry["port"]) if "port" in entry else None,
        host=entry.get("host"),
        of=entry.get("of"),
        login=entry.get("login"),
        words=_pattern(entry.get("words")),
        title=entry["title"],
        cause=entry["cause"],
        meanwhile=entry.get("meanwhile", ""),
        actor=Actor(entry["actor"]),
        steps=(*entry.get("steps", (NOTHING,)), *_HOLDS[entry.get("holds", "")]),
        link=entry["link"],
    )


def _several(value: Any) -> Iterable[Any]:
    return (value,) if isinstance(value, str | int) else value


def _pattern(given: str | None) -> re.Pattern[str] | None:
    return None if given is None else re.compile(given, re.IGNORECASE)

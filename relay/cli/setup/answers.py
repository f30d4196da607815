"""The answers to all questions, each from its flag, from what stands there already, or from a person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from relay.cli.setup.present import Present
from relay.cli.setup.questions import Question, questions
from relay.config.secrets import Secret
from relay.config.settings import machine_name

_PORTS: Final = {"starttls": "587", "implicit": "465", "none": "25"}
_HERE: Final = re.compile(r"(127\.[\d.]+|localhost|\[::1\]):\d+")
_SECURITIES: Final = ("starttls", "implicit", "none")


@dataclass(frozen=True, slots=True)
class Answers:
    """`texts` by question; optional ones that were passed over are missing. `secrets` are those given anew."""

    texts: Mapping[str, str]
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    """Optional questions to which the answer was: none."""

    def __getitem__(self, key: str) -> str:
        return self.texts.get(key, "")


class Asking(Protocol):
    """Whoever answers what no flag does."""

    def text(self, question: Question, choices: Mapping[str, str], default: str) -> str:
        """Return an answer that will do; empty where an optional one is passed over."""
        ...

    def secret(self, question: Question, *, keep: bool) -> Secret | None:
        """Return a secret; None where the present one is kept."""
        ...

    def refused(self, question: Question, fault: str) -> None:
        """Hear what is wrong with an answer by flag."""
        ...


def answers_from(
    flags: Mapping[str, str], secrets: Mapping[str, Secret], present: Present, asking: Asking, applications: Any
) -> Answers:
    """Go through all questions but the last. `flags` and `secrets` by the flags' names."""
    texts: dict[str, str] = {}
    given: dict[str, Secret] = {}
    removed: set[str] = set()
    for question in questions():
        known = texts | _derived(texts)
        if question.last or not question.applies(known):
            continue
        if question.secret:
            secret = _secret(question, secrets, present, asking, known)
            if secret is not None:
                given[question.key] = secret
            continue
        text = _text(question, flags, present, asking, known, applications)
        if text:
            texts[question.key] = text
        elif question.optional:
            removed.add(question.key)
    return Answers(texts, given, frozenset(removed))


def unused_flags(flags: Mapping[str, str], secrets: Mapping[str, Secret], answers: Answers) -> list[str]:
    """Return the flags that were given and belong to no question that was asked."""
    known = {**answers.texts, **_derived(answers.texts)}
    asked = {question.flag for question in questions() if question.last or question.applies(known)}
    options = {question.flag: question.option for question in questions()}
    return [options[flag] for flag in (*flags, *secrets) if flag not in asked]


def choices_for(question: Question, answers: Mapping[str, str], applications: Any) -> Mapping[str, str]:
    """Return the words to choose from, after these answers; empty where anything may be typed."""
    if question.key == "application":
        return {name: texts["title"] for name, texts in applications.items()}
    if question.key == "security":
        able = applications.get(answers.get("application", "other"), applications["other"])["encryption"]
        return {word: meaning for word, meaning in question.choices.items() if word in able}
    return question.choices


def _text(
    question: Question,
    flags: Mapping[str, str],
    present: Present,
    asking: Asking,
    known: Mapping[str, str],
    applications: Any,
) -> str:
    choices = choices_for(question, known, applications)
    default = present.default_of(question, known) or _usual(question, known, choices)
    if choices and default not in choices:
        default = next(iter(choices))
    if question.flag in flags:
        text = flags[question.flag].strip()
        fault = question.fault_in(text, choices)
        if fault is None:
            return text
        asking.refused(question, fault)
    elif question.quiet:
        return default
    return asking.text(question, choices, default)


def _secret(
    question: Question, secrets: Mapping[str, Secret], present: Present, asking: Asking, known: Mapping[str, str]
) -> Secret | None:
    if question.flag in secrets:
        fault = question.fault_in(secrets[question.flag], {})
        if fault is None:
            return secrets[question.flag]
        asking.refused(question, fault)
    return asking.secret(question, keep=present.keeps(question, known))


def _usual(question: Question, known: Mapping[str, str], choices: Mapping[str, str]) -> str:
    if (
        question.key == "security"
        and known.get("listen", "").partition(",")[0].endswith(":465")
        and "implicit" in choices
    ):
        return "implicit"
    if question.key == "security":
        return next(word for word in _SECURITIES if word in choices)
    return re.sub(r"\{([a-z_]+)\}", lambda name: known.get(name[1], ""), question.default)


def _derived(answers: Mapping[str, str]) -> dict[str, str]:
    """Return what follows from the answers so far, for `when` and `default`."""
    listens = [address.strip() for address in answers.get("listen", "").split(",") if address.strip()]
    return {
        "machine": machine_name(),
        "usual_port": _PORTS.get(answers.get("upstream_security", ""), ""),
        "has_username": "yes" if answers.get("smtp_username") else "no",
        "reach": "here" if all(_HERE.fullmatch(address) for address in listens) else "network",
    }

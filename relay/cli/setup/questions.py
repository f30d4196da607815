"""What setup asks, from questions.toml: when each question is asked, and whether an answer will do. Pure."""

from __future__ import annotations

import datetime
import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Annotated, Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from relay.config.client_settings import ClientSettings
from relay.config.listener_settings import ListenerSettings
from relay.config.operating_settings import AlertSettings
from relay.config.settings import UPSTREAM_TYPES, GeneralSettings
from relay.config.wording import wording

_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    **UPSTREAM_TYPES,
    "client": ClientSettings,
    "listener": ListenerSettings,
    "alerts": AlertSettings,
    "general": GeneralSettings,
}

_LONGEST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Question:
    """One question; the keys are told at the top of questions.toml. `setting` is the key of relay.toml."""

    key: str
    ask: str
    setting: str
    flag: str
    help: str = ""
    kind: str = "text"
    of: str = ""
    default: str = ""
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    unlike: str = ""
    instead: str = ""
    optional: bool = False
    quiet: bool = False
    last: bool = False

    @property
    def secret(self) -> bool:
        """Whether the answer is never shown, nor given on the command line."""
        return self.kind in {"secret", "file"}

    @property
    def option(self) -> str:
        """Its flag as typed."""
        return "--" + self.flag.replace("_", "-") + ("-file" if self.secret else "")

    def applies(self, answers: Mapping[str, str]) -> bool:
        """Whether it is to be asked, after these answers."""
        return all(answers.get(earlier) in wanted for earlier, wanted in self.when.items())

    def fault_in(self, text: str, choices: Mapping[str, str]) -> str | None:
        """Return what is wrong with an answer, and what to do; None where it will do. Quotes no secret."""
        if not text:
            return None if self.optional else "an answer is needed"
        if len(text) > _LONGEST or not (text.isprintable() or self.kind == "file"):
            return "too long, or with characters that can't be typed; type it again"
        if choices and text not in choices:
            return f'"{text:.40}" is no choice; type one of: {", ".join(choices)}'
        if self.unlike and re.fullmatch(self.unlike, text):
            return self.instead
        return None if self.secret else self._fault_of_key(text)

    def _fault_of_key(self, text: str) -> str | None:
        if not self.of:
            return None
        try:
            values = self.value_of(text)
            for value in values if self.kind == "addresses" else [values]:
                _adapter(self.of, self.setting).validate_python(value)
        except ValidationError as error:
            return wording(error.errors()[0], self.setting, None)
        except ValueError:
            return f'"{text:.40}" is no number; write digits'
        return None

    def value_of(self, text: str) -> Any:
        """Return an answer as relay.toml has it. Raises ValueError where a number is wanted and none is there."""
        if self.kind in {"list", "addresses"}:
            return [part.strip() for part in text.split(",") if part.strip()]
        if self.kind == "number":
            return int(text)
        if self.setting.endswith("_expires"):
            with_dashes = re.fullmatch(r"\d{4}-\d\d-\d\d", text)
            try:
                return datetime.date.fromisoformat(text) if with_dashes else text
            except ValueError:
                return text
        return text


@functools.cache
def questions() -> tuple[Question, ...]:
    """Return all of them, in the order in which they are asked."""
    text = resources.files("relay.cli.setup").joinpath("questions.toml").read_text("utf-8")
    return tuple(_question(key, dict(entry)) for key, entry in tomllib.loads(text).items())


def question_of(key: str) -> Question:
    """Return one by its name."""
    return next(question for question in questions() if question.key == key)


def _question(key: str, entry: dict[str, Any]) -> Question:
    when = {earlier: tuple(wanted) for earlier, wanted in entry.pop("when", {}).items()}
    return Question(key, entry.pop("ask"), entry.pop("key", key), entry.pop("flag", key), when=when, **entry)


@functools.cache
def _adapter(table: str, key: str) -> TypeAdapter[Any]:
    found = _TABLES[table].model_fields[key]
    annotated: Any = Annotated[found.annotation, *found.metadata] if found.metadata else found.annotation
    return TypeAdapter(annotated)

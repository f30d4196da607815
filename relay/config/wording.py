"""What pydantic finds wrong with a value, in words that say what to do."""

import datetime
from collections.abc import Mapping
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from relay.config.mistake import MISTAKE
from relay.config.nearest import choice

_NAMES: Final = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (dict, "a table"),
    (list, "a list"),
    (datetime.date, "a date"),
    (datetime.time, "a time"),
)
_WANTED: Final = {
    "string_type": ("a text", 'write it in quotes: "..."'),
    "int_type": ("a whole number", "write digits without quotes"),
    "int_from_float": ("a whole number", "write it without a decimal point"),
    "float_type": ("a number", "write it without quotes, like 0.2"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "model_type": ("a table", "write { key = value }"),
    "model_attributes_type": ("a table", "write { key = value }"),
    "dict_type": ("a table", "write { key = value }"),
    "tuple_type": ("a list", 'write it in brackets: ["..."]'),
    "finite_number": ("a number", "write an ordinary one"),
}
_BOUNDS: Final = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "must be at most"),
}


def wording(error: ErrorDetails, key: str, field: FieldInfo | None) -> str:
    """What is wrong with the value of `key`, then `; ` and the cure. Quotes no value but a mistaken choice."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == MISTAKE:
        return str(context["text"])
    if kind == "missing":
        return missing(key, field)
    if kind == "literal_error":
        return _choice(error["input"], context)
    if kind in _WANTED:
        wanted, cure = _WANTED[kind]
        return f"expected {wanted}, not {named(error['input'])}; {_without_quotes(kind, error['input']) or cure}"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"out of range; it {words} {context[bound]}"
    if kind == "string_too_long":
        return "the text is too long; shorten it"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}; correct the value"


def missing(key: str, field: FieldInfo | None) -> str:
    """What to say of a key that has to be there."""
    example = field.examples[0] if field is not None and field.examples else "..."
    meaning = f" ({field.description})" if field is not None and field.description else ""
    return f'"{key}" is missing; add {key} = {example}{meaning}'


def named(value: object) -> str:
    """The type of a TOML value in words."""
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "this")


def _choice(value: object, context: Mapping[str, Any]) -> str:
    choices = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
    if isinstance(value, str):
        return f'"{value:.40}" is no choice; {choice(value, choices)}'
    return f"expected a text, not {named(value)}; {choice('', choices)}"


def _without_quotes(kind: str, value: object) -> str | None:
    if isinstance(value, str):
        text = value.strip()
        if kind == "int_type" and text.isascii() and text.isdigit() and len(text) < 20:
            return f"write {text} without quotes"
        if kind == "bool_type" and text.casefold() in {"true", "false", "yes", "no", "on", "off"}:
            return f"write {'true' if text.casefold() in {'true', 'yes', 'on'} else 'false'} without quotes"
    return None

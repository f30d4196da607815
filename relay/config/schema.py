"""Which tables and keys relay.toml has, read off the settings."""

import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from relay.config.client_settings import ClientSettings, IdentitySettings
from relay.config.listener_settings import ListenerSettings, TlsSettings
from relay.config.operating_settings import AlertSettings, ConsoleSettings, LogSettings, MetricsSettings, QueueSettings
from relay.config.quantities import TextForm
from relay.config.secret_reference import SecretReference
from relay.config.section import Section, one_or_several
from relay.config.settings import UPSTREAM_TYPES, GeneralSettings
from relay.config.upstream_settings import UpstreamSettings

SINGLE: Final[Mapping[str, type[Section]]] = {
    "tls": TlsSettings,
    "queue": QueueSettings,
    "alerts": AlertSettings,
    "metrics": MetricsSettings,
    "console": ConsoleSettings,
    "log": LogSettings,
}
"""The tables of which there is one."""

NAMED: Final[Mapping[str, type[Section]]] = {
    "listener": ListenerSettings,
    "client": ClientSettings,
    "identity": IdentitySettings,
    "upstream": UpstreamSettings,
}
"""The tables that hold tables by name."""

TOP: Final = (*GeneralSettings.model_fields, *SINGLE, *NAMED)


class Form(Enum):
    """How the text of an environment variable becomes a key's value."""

    TEXT = "as it is"
    VALUE = "a value of TOML"
    TEXT_OR_VALUE = "a list or table of TOML where it looks like one, else as it is"
    SECRET = "the secret itself"  # noqa: S105
    PATH_OR_SECRET = "the secret where it is PEM, else a path"  # noqa: S105


@cache
def keys_of(model: type[Section]) -> Mapping[str, FieldInfo]:
    """The keys of a table as they are written in relay.toml."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


@cache
def upstream_keys() -> Mapping[str, FieldInfo]:
    """The keys of all types of upstream together."""
    found: dict[str, FieldInfo] = dict(keys_of(UpstreamSettings))
    for model in UPSTREAM_TYPES.values():
        found |= {key: field for key, field in keys_of(model).items() if key not in found}
    return found


def keys_in(table: str) -> Mapping[str, FieldInfo]:
    """The keys that a top-level table, or each table by name under it, may have."""
    if table == "upstream":
        return upstream_keys()
    return keys_of(SINGLE.get(table) or NAMED[table])


def tables_with(key: str) -> Iterator[str]:
    """Where a key belongs, in words: `in [queue]`, `in [client.NAME]`."""
    if key in GeneralSettings.model_fields:
        yield "at the top of the file, above the first [table]"
    for table in SINGLE:
        if key in keys_in(table):
            yield f"in [{table}]"
    for table in NAMED:
        if key in keys_in(table):
            yield f"in [{table}.NAME]"


def types_with(key: str) -> list[str]:
    """The types of upstream that have a key."""
    return [name for name, model in UPSTREAM_TYPES.items() if key in keys_of(model)]


def form_of(field: FieldInfo) -> Form:
    """How the environment gives this key."""
    if any(isinstance(mark, TextForm) for mark in field.metadata):
        return Form.TEXT
    if any(isinstance(mark, BeforeValidator) and mark.func is one_or_several for mark in field.metadata):
        return Form.TEXT_OR_VALUE
    forms = _forms(field.annotation)
    if forms == {Form.TEXT, Form.SECRET}:
        return Form.PATH_OR_SECRET
    if len(forms) == 1:
        return forms.pop()
    return Form.TEXT_OR_VALUE if Form.TEXT in forms else Form.VALUE


def _forms(annotation: Any) -> set[Form]:
    origin = get_origin(annotation)
    if origin is Annotated:
        first, *marks = get_args(annotation)
        return {Form.TEXT} if any(isinstance(mark, TextForm) for mark in marks) else _forms(first)
    if origin in {typing.Union, types.UnionType}:
        members = [member for member in get_args(annotation) if member is not type(None)]
        return set().union(*(_forms(member) for member in members))
    if origin is Literal:
        return {Form.TEXT}
    if isinstance(annotation, type) and issubclass(annotation, SecretReference):
        return {Form.SECRET}
    if isinstance(annotation, type) and issubclass(annotation, str | Path):
        return {Form.TEXT}
    return {Form.VALUE}

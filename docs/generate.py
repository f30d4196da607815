"""Writes docs/settings.md from the settings' types, defaults and descriptions: `make docs`; `--check` only compares."""

import sys
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relay.config.client_settings import ClientSettings, IdentitySettings
from relay.config.listener_settings import ListenerSettings, TlsSettings
from relay.config.operating_settings import AlertSettings, ConsoleSettings, LogSettings, MetricsSettings, QueueSettings
from relay.config.quantities import Duration, Size, duration_text, size_text
from relay.config.settings import UPSTREAM_TYPES, GeneralSettings
from relay.config.upstream_settings import UpstreamSettings

PAGE = Path(__file__).with_name("settings.md")

_HEAD = """# Settings

Every key of `relay.toml`, generated from the program by `make docs`. How the file is written, how the environment
overrides it and where secrets come from stands in [relay.example.toml](relay.example.toml).

Durations are a number and `ms`, `s`, `m`, `h`, `d` or `w`; sizes a number and `B`, `KiB`, `MiB`, `GiB`, `KB` or `MB`.
"""


def main() -> int:
    """0; with --check 1 where the page in the tree is not what would be written."""
    page = "\n".join(_page()) + "\n"
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page)
        return 0
    if PAGE.exists() and PAGE.read_text() == page:
        return 0
    sys.stderr.write(f"{PAGE}: not what the settings say; run `make docs`\n")
    return 1


def _page() -> Iterator[str]:
    yield _HEAD
    yield from _section("Above the first table", GeneralSettings)
    yield from _section("[tls]", TlsSettings)
    yield from _section("[listener.NAME]", ListenerSettings)
    yield from _section("[client.NAME]", ClientSettings)
    yield from _section("[identity.NAME]", IdentitySettings)
    yield from _section("[upstream.NAME]", UpstreamSettings)
    for name, model in UPSTREAM_TYPES.items():
        yield from _section(f'[upstream.NAME] with type = "{name}"', model, besides=UpstreamSettings)
    yield from _section("[queue]", QueueSettings)
    yield from _section("[alerts]", AlertSettings)
    yield from _section("[metrics]", MetricsSettings)
    yield from _section("[console]", ConsoleSettings)
    yield from _section("[log]", LogSettings)


def _section(title: str, model: type[BaseModel], besides: type[BaseModel] | None = None) -> Iterator[str]:
    """A heading, what the table is for, and a row a key; of `besides` only keys whose default differs."""
    yield f"## {title}\n"
    yield f"{(model.__doc__ or '').strip()}\n"
    yield "| key | default | meaning |"
    yield "| --- | --- | --- |"
    for name, field in model.model_fields.items():
        inherited = besides.model_fields.get(name) if besides else None
        if inherited is not None and inherited.default == field.default and name != "type":
            continue
        yield f"| `{field.alias or name}` | {_default(field)} | {_meaning(field)} |"
    yield ""


def _meaning(field: FieldInfo) -> str:
    text = (field.description or "").partition("; default: ")[0]
    choices = _choices(field.annotation)
    if len(choices) > 1 and not all(choice in text for choice in choices):
        text += " (" + ", ".join(f"`{choice}`" for choice in choices) + ")"
    return text.replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    described = (field.description or "").partition("; default: ")[2]
    if described:
        return described.replace("|", "\\|")
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, (BaseModel, type(None))) or value in ((), "") or field.default_factory is not None:
        return "none" if value == () else ""
    if _marked(field, Duration):
        return f'`"{duration_text(value)}"`'
    if _marked(field, Size):
        return f'`"{size_text(value)}"`'
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return f'"{value.value if isinstance(value, Enum) else value}"'


def _marked(field: FieldInfo, kind: Any) -> bool:
    """Whether a field is of an annotated type such as Duration, optional or not."""
    marks = get_args(kind)[1:]
    if all(any(mark is have for have in field.metadata) for mark in marks):
        return True
    return any(get_args(part) == get_args(kind) for part in get_args(field.annotation))


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        return next((found for part in get_args(annotation) if (found := _choices(part))), ())
    return ()


if __name__ == "__main__":
    sys.exit(main())

"""The log: one JSON object a line on standard error, ours and the libraries' alike, addresses as configured."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TypeAlias

import structlog

from relay.address import Disclosure, shown, shown_text

Form: TypeAlias = Literal["json", "text"]

_ADDRESSES = ("sender", "recipient", "username")
_QUIET_LIBRARIES = ("mail.log", "mail.debug", "asyncio", "aiosmtplib", "msal", "urllib3", "uvicorn", "sqlalchemy")


class _Disclosing:
    """Shows addresses as `[log] addresses` says, in every text of a line: replies, HELO names and exceptions too."""

    def __init__(self, disclosure: Disclosure) -> None:
        self._disclosure = disclosure

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in line.items():
            known = isinstance(value, str) and key in _ADDRESSES
            line[key] = shown(value, self._disclosure) if known else self._disclosed(value)
        return line

    def _disclosed(self, value: Any) -> Any:
        if isinstance(value, str):
            return shown_text(value, self._disclosure)
        if isinstance(value, (list, tuple)):
            return [self._disclosed(item) for item in value]
        if isinstance(value, dict):
            return {key: self._disclosed(item) for key, item in value.items()}
        return value


def _renamed(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put `time`, `level` and `event` first, as people read."""
    first = {key: line.pop(key) for key in ("time", "level", "event") if key in line}
    return {**first, **line}


def _of_library(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put a library's free words where they are no event's name."""
    line["text"] = line["event"]
    line["event"] = "library"
    return line


def _processors(addresses: Disclosure) -> list[Any]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        _Disclosing(addresses),
        _renamed,
    ]


def _renderer(form: Form) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=False, timestamp_key="time", pad_event_to=0)


def _writer(form: Form, level: int, addresses: Disclosure) -> Any:
    """Return what our own lines are written with: without the standard library's records, a third of their cost."""
    return structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[*_processors(addresses), _renderer(form)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()


class _Output:
    """Where lines go now."""

    level = logging.INFO
    writer = _writer("json", logging.INFO, "masked")


def configure(form: Form = "json", level: str = "info", addresses: Disclosure = "masked") -> None:
    """Send all logging, warnings included, to standard error in the form given."""
    _Output.level = logging.getLevelNamesMapping()[level.upper()]
    _Output.writer = _writer(form, _Output.level, addresses)
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _of_library, *_processors(addresses)],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(_Output.level)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(_Output.level, logging.WARNING))
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default" if level == "debug" else "ignore", DeprecationWarning)


class Log:
    """Writes the lines of one part of Relay. Values that are None are left out."""

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, level: int, event: str, values: Mapping[str, object]) -> None:
        """Write one line."""
        if level >= _Output.level:
            said = {key: value for key, value in values.items() if value is not None}
            _Output.writer.log(level, event, logger=self._name, **said)

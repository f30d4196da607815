"""The log: one JSON object a line on standard error, ours and the libraries' alike, addresses as configured."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
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
            line[key] = shown(value, self._disclosure) if known else self.disclosed(value)
        return line

    def disclosed(self, value: Any) -> Any:
        """Return a value with the addresses in it shown as they may be."""
        if isinstance(value, str):
            return shown_text(value, self._disclosure) if "@" in value else value
        if isinstance(value, (list, tuple)):
            return [self.disclosed(item) for item in value]
        if isinstance(value, dict):
            return {key: self.disclosed(item) for key, item in value.items()}
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


_Line: TypeAlias = Callable[[dict[str, Any]], str]
_json: _Line = json.JSONEncoder(ensure_ascii=False, check_circular=False, default=repr).encode
_LEVELS = {level: name.lower() for name, level in logging.getLevelNamesMapping().items() if name != "WARN"}


def _line_of(form: Form) -> _Line:
    """Return what makes a line of our own events, which come with every message: without the library's records."""
    if form == "json":
        return _json
    renderer = _renderer(form)
    return lambda line: str(renderer(None, "", line))


class _Output:
    """Where lines go now."""

    level = logging.INFO
    line = staticmethod(_json)
    disclosing = _Disclosing("masked")
    lock = threading.Lock()


def configure(form: Form = "json", level: str = "info", addresses: Disclosure = "masked") -> None:
    """Send all logging, warnings included, to standard error in the form given."""
    _Output.level = logging.getLevelNamesMapping()[level.upper()]
    _Output.line = staticmethod(_line_of(form))
    _Output.disclosing = _Disclosing(addresses)
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
            line: dict[str, Any] = {"time": _now(), "level": _LEVELS[level], "event": event, "logger": self._name}
            said = {key: value for key, value in values.items() if value is not None}
            line.update(_Output.disclosing(None, "", said))
            _say(_Output.line(line) + "\n")


def _say(text: str) -> None:
    # A log that can't be written, its disk being full, must not keep mail from being answered.
    with _Output.lock, contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"

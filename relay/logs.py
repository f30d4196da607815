"""The log: one JSON object a line on standard error, ours and the libraries' alike, addresses as configured."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from time import time_ns
from typing import Any, Literal, TypeAlias

from relay.address import Disclosure, shown, shown_text

Form: TypeAlias = Literal["json", "text"]

_ADDRESSES = frozenset({"sender", "recipient", "recipients", "username"})
_REMEMBERED = 512
_LIBRARIES = logging.WARNING
"""The least level of libraries' lines, whatever ours: below it several write down what they send and are sent, secrets
and whole messages among it (botocore, urllib3, aiosmtplib)."""


class _Disclosing:
    """Shows addresses as `[log] addresses` says, in every text of a line: replies, HELO names and exceptions too."""

    def __init__(self, disclosure: Disclosure) -> None:
        # The same few addresses come with every message.
        self._address = lru_cache(_REMEMBERED)(partial(shown, disclosure=disclosure))
        self._text = lru_cache(_REMEMBERED)(partial(shown_text, disclosure=disclosure))

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in line.items():
            line[key] = self.disclosed(value, key)
        return line

    def words(self, text: str, key: str) -> str:
        """Return a text with the addresses in it shown as they may be."""
        if key in _ADDRESSES:
            return self._address(text)
        return self._text(text) if "@" in text or "%40" in text else text

    def disclosed(self, value: Any, key: str = "") -> Any:
        """Return a value with the addresses in it shown as they may be."""
        if isinstance(value, str):
            return self.words(value, key)
        if isinstance(value, (list, tuple)):
            return [self.disclosed(item, key) for item in value]
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


def _structlog() -> Any:
    """structlog, when lines are configured: most commands write none.

    It takes rich along where it is installed, for coloured tracebacks: 100 ms and 9 MiB that nobody has a use for. A
    None among the modules makes that import fail, as if it weren't installed.
    """
    masked = sys.modules.setdefault("rich", None) is None  # type: ignore[arg-type]
    import structlog

    if masked:
        del sys.modules["rich"]
    return structlog


def _formatter(form: Form, addresses: Disclosure) -> logging.Formatter:
    """The way of libraries' lines."""
    structlog = _structlog()
    processors = [
        structlog.stdlib.add_logger_name,
        _of_library,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        _Disclosing(addresses),
        _renamed,
    ]
    formatter: logging.Formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=processors,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form)],
    )
    return formatter


def _renderer(form: Form) -> Any:
    structlog = _structlog()
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=False, timestamp_key="time", pad_event_to=0)


_LEVELS = {level: name.lower() for name, level in logging.getLevelNamesMapping().items() if name != "WARN"}
_quoted = json.encoder.encode_basestring
_encoded = json.JSONEncoder(ensure_ascii=False, check_circular=False, default=repr).encode

_Line: TypeAlias = Callable[[int, str, str, Mapping[str, object]], str]
"""Makes a line of our own events, which come with every message, out of level, event, logger and values."""


def _json_line(level: int, event: str, logger: str, values: Mapping[str, object], /) -> str:
    # A third faster than a dict of it all and json's encoder, which is made anew for each line.
    pieces = [f'{{"time": "{_now()}", "level": "{_LEVELS[level]}", "event": "{event}", "logger": "{logger}"']
    for key, value in values.items():
        if value is not None:
            pieces.append(f'"{key}": {_json(value, key)}')
    return ", ".join(pieces) + "}\n"


def _json(value: object, key: str = "") -> str:
    if isinstance(value, str):
        return _quoted(_Output.disclosing.words(value, key))
    if isinstance(value, list):
        return f"[{', '.join([_json(item, key) for item in value])}]"
    return str(value) if type(value) is int else _encoded(_Output.disclosing.disclosed(value))


def _line_of(form: Form) -> _Line:
    if form == "json":
        return _json_line
    renderer = _renderer(form)

    def text_line(level: int, event: str, logger: str, values: Mapping[str, object], /) -> str:
        line: dict[str, Any] = {"time": _now(), "level": _LEVELS[level], "event": event, "logger": logger}
        disclosed = _Output.disclosing.disclosed
        line |= {key: disclosed(value, key) for key, value in values.items() if value is not None}
        return f"{renderer(None, '', line)}\n"

    return text_line


class _Output:
    """Where lines go now. `waiting`: those of this turn of the event loop, which are written together."""

    level = logging.INFO
    line = staticmethod(_json_line)
    disclosing = _Disclosing("masked")
    lock = threading.Lock()
    waiting: list[str] = []  # noqa: RUF012 - one for the process
    flushing: asyncio.AbstractEventLoop | None = None


def configure(form: Form = "json", level: str = "info", addresses: Disclosure = "masked") -> None:
    """Send all logging, warnings included, to standard error in the form given."""
    _Output.level = logging.getLevelNamesMapping()[level.upper()]
    _Output.line = staticmethod(_line_of(form))
    _Output.disclosing = _Disclosing(addresses)
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(_formatter(form, addresses))
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(max(_Output.level, _LIBRARIES))
    # A library may set the level of its own loggers.
    output.setLevel(root.level)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default" if level == "debug" else "ignore", DeprecationWarning)


class Log:
    """Writes the lines of one part of Relay. Values that are None are left out."""

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, level: int, event: str, values: Mapping[str, object]) -> None:
        """Write one line."""
        if level >= _Output.level:
            _say(_Output.line(level, event, self._name, values), at_once=level > logging.INFO)


def _say(text: str, *, at_once: bool) -> None:
    """Write a line; what comes with every message at the end of the event loop's turn, where one runs."""
    try:
        loop = None if at_once else asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    with _Output.lock:
        _Output.waiting.append(text)
    if loop is None:
        flush()
    elif _Output.flushing is not loop:
        _Output.flushing = loop
        loop.call_soon(flush)


def flush() -> None:
    """Write what waits."""
    # A log that can't be written, its disk being full, must not keep mail from being answered.
    with _Output.lock, contextlib.suppress(OSError, ValueError):
        _Output.flushing = None
        lines = "".join(_Output.waiting)
        _Output.waiting.clear()
        sys.stderr.write(lines)
        sys.stderr.flush()


atexit.register(flush)


def _now() -> str:
    second, rest = divmod(time_ns() // 1000, 1_000_000)
    return f"{_second_text(second)}.{rest:06d}Z"


@lru_cache(2)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")

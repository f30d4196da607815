"""The log: one JSON object a line on standard error, ours and the libraries' alike, addresses as configured."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

from relay.address import Disclosure, shown, shown_text

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


def configure(form: Literal["json", "text"] = "json", level: str = "info", addresses: Disclosure = "masked") -> None:
    """Send all logging, warnings included, to standard error in the form given."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        _Disclosing(addresses),
        _renamed,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False, timestamp_key="time")
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=()), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level.upper())
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default" if level == "debug" else "ignore", DeprecationWarning)


class Log:
    """Writes the lines of one part of Relay. Values that are None are left out."""

    def __init__(self, name: str) -> None:
        self._logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)

    def write(self, level: int, event: str, values: Mapping[str, object]) -> None:
        """Write one line."""
        self._logger.log(level, event, **{key: value for key, value in values.items() if value is not None})

"""What an answer of Microsoft Graph means, in SMTP's words. Pure.

Sources: learn.microsoft.com/graph/errors and /graph/throttling; the table is graph_answers.toml.
"""

from __future__ import annotations

import email.utils
import functools
import json
import time
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from relay.reply import Reply, parse_reply
from relay.upstream.contract import Phase
from relay.upstream.http_protocol import HttpAnswer

ACCEPTED: Final = 202
"""The only status with which Graph takes a message. It has answered 200 to ones that were too large, and lost them
(microsoft-graph-docs #13979)."""

LONGEST_PAUSE: Final = 86_400.0

_PAUSE: Final = 10.0
"""Seconds after a 429 that names none."""

_THROTTLED: Final = frozenset({429, 503})
_PHASES: Final = {"auth": Phase.AUTH, "done": Phase.DONE}
_LONGEST_TEXT: Final = 500


def error_code(answer: HttpAnswer) -> str:
    """Return the error's code; empty where the answer has none."""
    return _error(answer)[0]


def reply_of(answer: HttpAnswer, host: str) -> tuple[Phase, Reply]:
    """Return a refusal as a reply, and the phase in which SMTP would have said it.

    What is not known is transient: nothing bounces for a reason that nobody can tell.
    """
    code, message = _error(answer)
    entry = _table()["code"].get(code) or _table()["status"].get(str(answer.status))
    phase, said = (_PHASES[entry["phase"]], entry["reply"]) if entry else (Phase.DONE, "451 4.3.0")
    if pause_of(answer):
        phase, said = Phase.MAIL, "451 4.3.2"
    words = [f"HTTP {answer.status}", f"{code}:" if code else "", message]
    text = " ".join(word for word in words if word)
    return phase, parse_reply(int(said[:3]), f"{said[4:]} {text:.{_LONGEST_TEXT}}", host)


def pause_of(answer: HttpAnswer, now: float | None = None) -> float:
    """Return for how many seconds Graph wants to be left alone; 0 where it does not say so (RFC 9110 §10.2.3)."""
    if answer.status not in _THROTTLED:
        return 0.0
    said = answer.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit() and len(said) < 9:
        return min(float(said), LONGEST_PAUSE)
    try:
        at = email.utils.parsedate_to_datetime(said).timestamp()
    except (ValueError, TypeError):
        return _PAUSE if answer.status == 429 else 0.0
    return min(max(at - (now if now is not None else time.time()), 0.0), LONGEST_PAUSE)


def unknown_fate(answer: HttpAnswer) -> bool:
    """True where nobody can know whether a message that was to be sent is on its way: a gateway lost the answer."""
    return answer.status in {502, 504} or (answer.status < 400 and answer.status != ACCEPTED)


def too_large(answer: HttpAnswer) -> bool:
    """True where the request is larger than Graph takes in one."""
    return reply_of(answer, "")[1].code == 552 or b"maximum request length" in answer.body


def _error(answer: HttpAnswer) -> tuple[str, str]:
    """Read `{"error": {"code": ..., "message": ...}}`; whatever else came is not quoted."""
    try:
        error = json.loads(answer.body)["error"]
        code, message = error["code"], error.get("message", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", ""
    if not isinstance(code, str) or not code.replace("_", "").isalnum():
        code = ""
    return code[:80], " ".join(message.split()) if isinstance(message, str) else ""


@functools.cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(resources.files("relay.upstream").joinpath("graph_answers.toml").read_text("utf-8"))

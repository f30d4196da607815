"""The failures that can be switched on while the simulator runs; their texts are in faults.toml."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any, Literal

Action = Literal["reply", "close", "silence", "slow", "garbled"]

_ACTIONS = ("reply", "close", "silence", "slow", "garbled")
_REPLY = re.compile(r"[2-5]\d\d[ -].*")
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("stage", "action", "reply", "keyword", "error", "description"), (str,)),
    **dict.fromkeys(("provider", "recipient", "login"), (str, type(None))),
    **dict.fromkeys(("limit", "status", "code"), (int,)),
    "seconds": (int, float),
    "stored": (bool,),
    "headers": (dict,),
}

STAGES = ("greeting", "offer", "ehlo", "starttls", "auth_line", "auth", "mail", "rcpt", "data", "final")
GRAPH_STAGES = ("sendmail", "draft", "recipients", "attachment", "session", "upload", "send", "delete")
AUTHORITY_STAGES = ("openid", "devicecode", "token", *GRAPH_STAGES)
AWS_STAGES = ("send_email", "get_account")


class UnknownFault(ValueError):  # noqa: N818
    """There is no failure of this name, or no such stage; the text says what comes nearest."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure: at `stage` of `provider` (None: any) do `action`.

    `reply`: the SMTP reply, with fields to fill in. `seconds`: how long "slow" waits. `stored`: whether a message is
    kept although its final reply never comes. `keyword`: the extension that "offer" leaves out. `limit`: octets from
    which an AUTH line is refused. `status`, `error`, `code`, `description`, `headers`: the authority's HTTP answer.
    `recipient` and `login` are patterns (`*@clinic.test`) that somebody concerned must match.
    """

    name: str
    stage: str
    provider: str | None = None
    action: Action = "reply"
    reply: str = ""
    seconds: float = 0.0
    stored: bool = False
    keyword: str = ""
    limit: int = 0
    status: int = 0
    error: str = ""
    code: int = 0
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    recipient: str | None = None
    login: str | None = None

    def concerns(self, provider: str, stage: str, recipients: Iterable[str], login: str, octets: int) -> bool:
        """True where this failure belongs at this place."""
        if self.stage != stage or self.provider not in (None, provider) or (self.limit and octets <= self.limit):
            return False
        if self.login is not None and not fnmatch.fnmatchcase(login.lower(), self.login.lower()):
            return False
        pattern = self.recipient
        return pattern is None or any(fnmatch.fnmatchcase(one.lower(), pattern.lower()) for one in recipients)


@dataclass(slots=True)
class ActiveFault:
    """A failure that is switched on: `left` times more (None: until cleared), after `skip` occasions that pass."""

    fault: Fault
    left: int | None
    skip: int
    taken: int = 0


@functools.cache
def known_faults() -> Mapping[str, Fault]:
    """Every failure that the data files describe, by name."""
    found: dict[str, Fault] = {}
    for file in ("faults.toml", "authority_faults.toml", "graph_faults.toml", "aws_faults.toml"):
        text = resources.files("relay.simulator").joinpath(file).read_text("utf-8")
        found |= {name: Fault(name=name, **entry) for name, entry in tomllib.loads(text).items()}
    return found


class Faults:
    """What is switched on now. Earlier ones come first."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []

    @property
    def active(self) -> tuple[ActiveFault, ...]:
        """What is switched on, oldest first."""
        return tuple(self._active)

    def set(self, name: str, *, times: int | None = None, skip: int = 0, **changes: Any) -> ActiveFault:
        """Switch on the failure called `name`; raises `UnknownFault`.

        `times`: for the next so many occasions (None: until cleared), after `skip` that pass unharmed. `changes`:
        fields of `Fault` in place of the file's, such as stage="rcpt", recipient="*@far.test", provider="gmail",
        reply="450 4.2.1 busy", seconds=2.0, stored=False. `set("reply", stage=..., reply=...)` needs no entry.
        """
        wanted = Fault("reply", "mail") if name == "reply" else _named(name)
        for key, value in changes.items():
            if not isinstance(value, _KINDS.get(key, ())):
                raise UnknownFault(f"{name}: no such setting, or not of its kind: {key}")
        if not isinstance(times, int | None) or not isinstance(skip, int):
            raise UnknownFault(f"{name}: times and skip are whole numbers")
        fault = replace(wanted, **changes)
        if wrong := _wrong(fault):
            raise UnknownFault(f"{name}: {wrong}")
        active = ActiveFault(fault, times, skip)
        self._active.append(active)
        return active

    def clear(self, name: str | None = None) -> int:
        """Switch off the failures called `name`, or all; returns how many were on."""
        before = len(self._active)
        self._active = [active for active in self._active if name is not None and active.fault.name != name]
        return before - len(self._active)

    def take(
        self, provider: str, stage: str, recipients: Iterable[str] = (), login: str = "", octets: int = 0
    ) -> Fault | None:
        """Return the failure due at this place, and count it; None where all is well. `octets`: of an AUTH line."""
        concerned = tuple(recipients)
        for active in self._active:
            if active.fault.concerns(provider, stage, concerned, login, octets) and self._due(active):
                return active.fault
        return None

    def take_all(self, provider: str, stage: str) -> tuple[Fault, ...]:
        """Return every failure due at this place, and count them."""
        concerned = [active for active in self._active if active.fault.concerns(provider, stage, (), "", 0)]
        return tuple(active.fault for active in concerned if self._due(active))

    def _due(self, active: ActiveFault) -> bool:
        if active.skip > 0:
            active.skip -= 1
            return False
        active.taken += 1
        if active.left is not None:
            active.left -= 1
            if active.left <= 0:
                self._active.remove(active)
        return True


def _named(name: str) -> Fault:
    known = known_faults()
    fault = known.get(name) or known.get(name.lower())
    if fault is None:
        near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
        raise UnknownFault(f"no failure {name!r}" + (f"; perhaps {', '.join(near)}" if near else ""))
    return fault


def _wrong(fault: Fault) -> str | None:
    stages = STAGES + AUTHORITY_STAGES + AWS_STAGES
    if fault.stage not in stages:
        return f"no stage {fault.stage!r}; stages are {', '.join(stages)}"
    if fault.action not in _ACTIONS:
        return f"no action {fault.action!r}; actions are {', '.join(_ACTIONS)}"
    if fault.action != "reply" or fault.keyword or fault.status:
        return None
    if not all(_REPLY.fullmatch(line) for line in fault.reply.split("\n")):
        return "needs a reply such as '450 4.2.1 Try again later'"
    try:
        fault.reply.format_map(defaultdict(str))
    except (ValueError, LookupError, AttributeError):
        return "braces in a reply stand for a field; write them twice"
    return None

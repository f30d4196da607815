"""What a relay.toml that is there already answers. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final

from relay.cli.setup.questions import Question
from relay.config.settings import UPSTREAM_TYPES

REHEARSAL: Final = "rehearsal"
"""The table of the upstream that leads to the simulator."""

_USUAL: Final = {
    "microsoft365": "office365",
    "gmail": "gmail",
    "ses": "ses",
    "smtp": "isp",
    "capture": "sandbox",
    "simulator": REHEARSAL,
}


class Present:
    """The tables of the file, empty where there is none; `applications` are those that setup knows."""

    def __init__(self, tables: Mapping[str, Any], applications: Mapping[str, Any]) -> None:
        self._tables = tables
        self._applications = applications

    def default_of(self, question: Question, answers: Mapping[str, str]) -> str:
        """Return what stands there for a question, as it would be typed; empty where nothing does."""
        own = getattr(self, f"_{question.key}", None)
        if own is not None:
            return str(own(answers))
        return _typed(self._table_of(question, answers).get(question.setting))

    def keeps(self, question: Question, answers: Mapping[str, str]) -> bool:
        """Return whether there is a place for this secret already."""
        return question.setting in self._table_of(question, answers)

    def upstream(self, name: str) -> Mapping[str, Any]:
        """Return [upstream.NAME]."""
        return _table(_table(self._tables.get("upstream")).get(name))

    def client(self, name: str) -> Mapping[str, Any]:
        """Return [client.NAME]."""
        return _table(_table(self._tables.get("client")).get(name))

    @property
    def listeners(self) -> Mapping[str, Mapping[str, Any]]:
        """[listener.NAME] by name."""
        found = _table(self._tables.get("listener"))
        return {name: _table(table) for name, table in found.items()}

    def _table_of(self, question: Question, answers: Mapping[str, str]) -> Mapping[str, Any]:
        if question.of == "client":
            return self.client(answers.get("client", ""))
        if question.of == "alerts":
            return _table(self._tables.get("alerts"))
        if question.of == "general":
            return self._tables
        if question.of in UPSTREAM_TYPES and not question.last:
            return self.upstream(answers.get("upstream", ""))
        return {}

    def _provider(self, answers: Mapping[str, str]) -> str:
        name = self._first_upstream()
        return "simulator" if name == REHEARSAL else _typed(self.upstream(name).get("type"))

    def _upstream(self, answers: Mapping[str, str]) -> str:
        provider = answers.get("provider", "")
        first = self._first_upstream()
        if provider == "simulator":
            return REHEARSAL
        names = [name for name in (first, *_table(self._tables.get("upstream"))) if name != REHEARSAL]
        fitting = (name for name in names if self.upstream(name).get("type") == provider)
        usual = _USUAL.get(provider, "provider")
        return next(fitting, usual if usual not in names else f"{usual}-{provider}")

    def _gmail_credential(self, answers: Mapping[str, str]) -> str:
        table = self.upstream(answers.get("upstream", ""))
        known = {"service_account": "service_account", "client_id": "sign_in", "app_password": "app_password"}
        return next((word for key, word in known.items() if key in table), "")

    def _gmail_username(self, answers: Mapping[str, str]) -> str:
        return _typed(self.upstream(answers.get("upstream", "")).get("username"))

    def _application(self, answers: Mapping[str, str]) -> str:
        first = self._first_client()
        return first if first in self._applications else ("other" if first else "")

    def _client(self, answers: Mapping[str, str]) -> str:
        names = list(_table(self._tables.get("client")))
        application = answers.get("application", "")
        return application if application in names or len(names) != 1 else names[0]

    def _access(self, answers: Mapping[str, str]) -> str:
        table = self.client(answers.get("client", ""))
        return "login" if "username" in table else "network" if "networks" in table else ""

    def _listen(self, answers: Mapping[str, str]) -> str:
        return ", ".join(str(table["address"]) for table in self.listeners.values() if "address" in table)

    def _security(self, answers: Mapping[str, str]) -> str:
        first = next(iter(self.listeners.values()), {})
        return _typed(first.get("security", "starttls" if first else ""))

    def _first_client(self) -> str:
        return next(iter(_table(self._tables.get("client"))), "")

    def _first_upstream(self) -> str:
        upstreams = _table(self._tables.get("upstream"))
        used = upstreams_in(self.client(self._first_client()))
        return next((name for name in (*used, *upstreams) if name in upstreams), "")


def upstreams_in(client: Mapping[str, Any]) -> list[str]:
    """Return the upstreams of a [client.NAME], in order: a name, a list, or lists in it that share the load."""
    waiting, found = [client.get("upstream")], []
    while waiting:
        used = waiting.pop(0)
        if isinstance(used, list):
            waiting = [*used, *waiting]
        elif isinstance(used, str):
            found.append(used)
    return found


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _typed(value: object) -> str:
    """Write a value of TOML as a person types it."""
    if isinstance(value, list):
        return ", ".join(map(_typed, value))
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, str | int) else ""

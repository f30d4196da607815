"""What a real relay, and its real commands, say of the failures of one section."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from relay.cli.explain import explained
from relay.config.load import load
from relay.control.socket import connect
from relay.diagnosis.names import names_of
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.failures import network, providers
from tests.scenario.failures.scene import RECIPIENT, Scene
from tests.scenario.failures.table import Failure

TYPED = 3
"""Of so many failures of a section every command is a process of its own; doctor is one for all of them."""

SETTLED = frozenset({"deferred", "failed", "held", "uncertain", "relayed"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one failure: shapes as `--json` promises them; `alert` and `bounce` are mails' texts, empty where none came.

    `names` are the upstream's own, to be found filled in. `typed` is what `relay trace ID` and `relay explain` print,
    where a process of its own was spent on that.
    """

    names: Mapping[str, str]
    trace: dict[str, Any]
    status: dict[str, Any]
    doctor: dict[str, Any]
    pasted: dict[str, Any] | None
    alert: str
    bounce: str
    log: Sequence[dict[str, Any]]
    typed: tuple[dict[str, Any], dict[str, Any]] | None

    @property
    def said(self) -> str:
        """The reply that the trace shows."""
        return str(self.trace["events"][-1]["reply"])


class Clinic:
    """One relay with an upstream for each failure, and a client for each upstream, known by its address."""

    def __init__(self, failures: Sequence[Failure], scene: Scene, folder: Path) -> None:
        self.failures = failures
        self.scene = scene
        self.other = scene.exits.enter_context(ScriptedServer())
        upstreams = {one.name: _played(one, scene) for one in failures}
        settings = _settings(upstreams, self.other.port)
        self.relay = scene.exits.enter_context(RelayProcess(folder, settings, scene.environ))
        (scene.folder / "secret").unlink(missing_ok=True)
        self.ids = {one.name: self._sent(at, one) for at, one in enumerate(failures)}

    def evidence(self) -> dict[str, Evidence]:
        """Wait until every message was tried once, and ask."""
        traced = self._traced()
        doctor = self._json("doctor", *self.ids, "--to", RECIPIENT, statuses=(0, 1))
        status = {row["name"]: row for row in self._json("status")["upstreams"]}
        held = [name for name, row in status.items() if row["state"] == "held"]
        kept = [name for name, entry in traced.items() if "held" in entry["states"].values()]
        self.other.wait_for(len(held) + min(len(kept), 1))
        log, alerts = self.relay.log(), self._alerts()
        loaded = load(self.relay.config, self.relay.environ)
        assert loaded.settings is not None, loaded.problems
        found = {}
        for one, examined in zip(self.failures, doctor, strict=True):
            table = loaded.settings.upstream[one.name]
            alone = loaded.settings.model_copy(update={"upstream": {one.name: table}})
            entry = traced[one.name]
            found[one.name] = Evidence(
                names=names_of(one.name, table, _sender(one)),
                trace=entry,
                status=status[one.name],
                doctor=examined,
                pasted=explained(str(entry["events"][-1]["reply"]), alone),
                alert=next((text for text in alerts if f" {one.name} " in text.replace("\n", " ")), ""),
                bounce=self._bounce(one),
                log=[line for line in log if line.get("upstream") == one.name],
                typed=self._typed(entry) if one in self.failures[:TYPED] else None,
            )
        return found

    def _traced(self) -> dict[str, dict[str, Any]]:
        control = connect(self.relay.state_dir)
        assert control is not None
        with control:

            def tried() -> bool:
                entries = control.ask("trace", {"limit": 500})
                mine = [entry for entry in entries if entry["id"] in self.ids.values()]
                return all(entry["events"][-1]["event"] in SETTLED for entry in mine)

            wait_until(tried, "every message to be tried", 40, pause=0.2)
            return {name: control.ask("trace", {"id": id_})[0] for name, id_ in self.ids.items()}

    def _json(self, *arguments: str, statuses: Sequence[int] = (0,)) -> Any:
        told = self.relay.command(*arguments, "--json")
        assert told.returncode in statuses, told.stderr
        assert "eyJ" not in told.stdout, "a token"
        return json.loads(told.stdout)

    def _typed(self, entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        [traced] = self._json("trace", entry["id"])
        return traced, self._json("explain", entry["events"][-1]["reply"])

    def _bounce(self, failure: Failure) -> str:
        if failure.word != "failed":
            return ""
        simulator = self.scene.simulators[failure.name]
        wait_until(lambda: simulator.messages, f"the bounce about {failure.name}")
        report = message_from_bytes(simulator.messages[0].content, policy=policy.default)
        return str(next(report.iter_parts()).get_content())

    def _alerts(self) -> list[str]:
        mails = [message_from_bytes(one.content, policy=policy.default) for one in self.other.accepted]
        return [f"{mail['Subject']} \n{mail.get_content()}" for mail in mails if not mail.is_multipart()]

    def _sent(self, at: int, failure: Failure) -> str:
        sender = _sender(failure)
        lines = f"From: <{sender}>\nTo: <{RECIPIENT}>\nSubject: Result\n\nYour result.\n"
        with smtplib.SMTP("127.0.0.1", self.relay.port(), timeout=30, source_address=(_address(at), 0)) as connection:
            connection.ehlo()
            connection.mail(sender)
            connection.rcpt(RECIPIENT)
            code, text = connection.data(lines)
        assert code == 250, text
        return text.decode().rpartition(" ")[2]


def _played(failure: Failure, scene: Scene) -> dict[str, Value]:
    play = network.play if failure.section == "network" else providers.play
    return {key: value for key, value in play(failure, scene).items() if value is not None}


def _settings(upstreams: Mapping[str, dict[str, Value]], other: int) -> dict[str, Value]:
    clients = {name: {"networks": [f"{_address(at)}/32"], "upstream": name} for at, name in enumerate(upstreams)}
    theirs: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "port": other, "security": "none"}
    return {
        "listener": {"submission": {"security": "none"}},
        "client": clients,
        "upstream": {**upstreams, "other": theirs},
        "queue": {"retry_first": "1h", "retry_most": "1h", "jitter": 0.0},
        "alerts": {"to": ["it@clinic.test"], "upstream": "other"},
        "log": {"addresses": "full"},
    }


def _address(at: int) -> str:
    return f"127.1.{at // 200}.{at % 200 + 1}"


def _sender(failure: Failure) -> str:
    """Return the address of the failure's own mailbox, or another one where that is the failure."""
    if failure.becomes == "kept send_as":
        return "lab@clinic.test"
    return f"{failure.name}@clinic.test"

"""Every failure of failures/failures.txt: played, and told rightly by trace, status, doctor, explain, log and alert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from relay.diagnosis.causes import causes
from relay.simulator.faults import known_faults
from tests.scenario.failures.evidence import Clinic, Evidence
from tests.scenario.failures.scene import Scene
from tests.scenario.failures.table import SECTIONS, Failure, failures

TITLES = {cause.key: cause.title for cause in causes()}
ELSEWHERE = ("graph_", "ses_api_", "hve_")
"""Played by the tests of these ways of sending."""

STATES = {"held": "queued", "kept": "held", "deferred": "queued", "uncertain": "queued", "failed": "failed"}
OF_THE_MESSAGE = {"sender", "recipient's administrator", "application's vendor", "nobody"}
"""Who acts where the upstream is well."""

EVENTS = {"held": "deferred", "kept": "held"}


def test_every_failure_that_the_simulator_can_play_is_in_the_table() -> None:
    rows = [row for section in SECTIONS for row in failures(section)]
    played = {row.name for row in rows} | {row.played.split()[1] for row in rows if row.played.startswith("fault ")}
    assert len(rows) == len({row.name for row in rows}) >= 160
    ours = {name for name, fault in known_faults().items() if fault.provider and (fault.reply or fault.error)}
    assert {name for name in ours - played if not name.startswith(ELSEWHERE)} == set()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("section", SECTIONS)
def test_failures_are_told_rightly(section: str, tmp_path: Path) -> None:
    rows = failures(section)
    with Scene() as scene:
        found = Clinic(rows, scene, tmp_path / "relay").evidence()
    wrong = [f"{row.name}: {problem}" for row in rows for problem in _problems(row, found[row.name])]
    assert not wrong, "\n".join(wrong)


def _problems(row: Failure, seen: Evidence) -> Iterator[str]:
    part = row.part.format_map(seen.names)
    yield from _of_trace(row, seen, part)
    yield from _of_doctor(row, seen, part)
    # Whose mail it was, a text alone does not tell.
    anybody = row.part.format_map({**seen.names, "sender": "SENDER"})
    yield from _unlike("explain", seen.pasted, row, row.pasted, anybody)
    if seen.pasted is not None and not seen.pasted["known"]:
        yield f"explain: says no more than {seen.said}"
    yield from _of_status(row, seen, part)
    if seen.typed is not None:
        traced, told = seen.typed
        if traced["reasons"] != seen.trace["reasons"] or told["title"] != TITLES[row.pasted]:
            yield f"as typed: {traced['reasons']}, {told['title']}"


def _of_trace(row: Failure, seen: Evidence, part: str) -> Iterator[str]:
    last, [state] = seen.trace["events"][-1], seen.trace["states"].values()
    if (last["event"], state) != (EVENTS.get(row.word, row.word), STATES[row.word]):
        yield f"trace: {last['event']}, {state}: {seen.said}"
    yield from _unlike("trace", next(iter(seen.trace["reasons"]), None), row, row.diagnosis, part)


def _of_doctor(row: Failure, seen: Evidence, part: str) -> Iterator[str]:
    if row.step == "message":
        yield from _unlike("doctor, of the last message", seen.doctor["lately"], row, row.at_doctor, part)
        failed = [step["name"] for step in seen.doctor["steps"] if step["result"] == "failed"]
        ours = [] if seen.doctor["lately"]["actor"] in OF_THE_MESSAGE else ["message"]
        if failed != ours or seen.doctor["ok"] is bool(ours) or TITLES[row.at_doctor] not in str(seen.doctor["notes"]):
            yield f"doctor: failed {failed}, notes {seen.doctor['notes']}"
        return
    failed = [step for step in seen.doctor["steps"] if step["result"] == "failed"]
    if not failed or (row.step not in {failed[0]["name"], "*"}):
        yield f"doctor: failed {[step['name'] for step in failed]}"
    yield from _unlike("doctor", failed[0] if failed else None, row, row.at_doctor, part)


def _of_status(row: Failure, seen: Evidence, part: str) -> Iterator[str]:
    log = [line for line in seen.log if line["event"] in {"held", "failed"}]
    if row.word == "held":
        if (seen.status["state"], seen.status["reason"]) != ("held", row.reason):
            yield f"status: {seen.status['state']}, {seen.status['reason']}"
        yield from _unlike("status", seen.status["diagnosis"], row, row.diagnosis, part)
        if f"is held: {TITLES[row.diagnosis]}." not in " ".join(seen.alert.split()) or part not in seen.alert:
            yield f"alert: {seen.alert}"
    elif seen.status["state"] == "held":
        yield f"status: held, {seen.status['reason']}"
    if row.word == "failed":
        reason, bounce = seen.trace["reasons"][0], " ".join(seen.bounce.split())
        texts = (reason["cause"], f"Who must act: {reason['actor']}", *reason["actions"])
        yield from (f"bounce: lacks {text!r}: {bounce}" for text in texts if " ".join(text.split()) not in bounce)
    if row.word in {"held", "failed"} and not any(part in _told(line, "why") for line in log):
        yield f"log: {log}"


def _unlike(where: str, shape: Mapping[str, Any] | None, row: Failure, key: str, part: str) -> Iterator[str]:
    if shape is None:
        yield f"{where}: nothing"
        return
    if shape["title"] != TITLES[key]:
        yield f"{where}: {shape['title']!r} in place of {TITLES[key]!r}"
        return
    if row.actor not in {shape["actor"], "*"} and key == row.diagnosis:
        yield f"{where}: {shape['actor']}"
    if part not in _told(shape, "cause"):
        yield f"{where}: lacks {part!r}: {shape['actions']}"


def _told(shape: Mapping[str, Any], cause: str) -> str:
    return "\n".join((str(shape[cause]), *shape["actions"]))

"""`relay doctor`: what the examination of an upstream found, step by step, with the reason of each failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from relay.address import Mailbox
from relay.config.providers import provider_of
from relay.config.upstream_settings import UpstreamSettings
from relay.control.last_message import LastMessage
from relay.control.shapes import instant, reply_text
from relay.diagnosis.causes import diagnosis_for
from relay.diagnosis.diagnosis import Diagnosis
from relay.diagnosis.names import names_of
from relay.doctor.findings import Finding, findings_of, findings_of_probe
from relay.doctor.ses_findings import findings_of_ses
from relay.doctor.steps import Result, Step, by_graph
from relay.doctor.token_fault import may_send_large
from relay.reply import Reply
from relay.spool.records import Gate
from relay.transfer.classification import Stage
from relay.transfer.explanation import explanation_at
from relay.upstream.contract import Upstream
from relay.upstream.graph import Graph
from relay.upstream.rehearsal import Trial
from relay.upstream.ses import SesApi
from relay.upstream.smarthost import Smarthost

PATIENCE: Final = 20.0
"""Seconds that the upstream's own limits may keep a rehearsal waiting."""

_STAGES: Final = {
    Step.TOKEN: Stage.TOKEN,
    Step.AUTH: Stage.AUTH,
    Step.PERMISSION: Stage.AUTH,
    Step.MAILBOX: Stage.DATA,
    Step.MAIL: Stage.MAIL,
    Step.RCPT: Stage.RCPT,
    Step.RSET: Stage.MAIL,
    Step.CREDENTIALS: Stage.TOKEN,
    Step.ACCOUNT: Stage.DATA,
}
"""Where a reply was said; all other steps come before the login."""

_TOLD_LATE: Final = {
    "microsoft365": "whether the mailbox may send as another address, and whether it is full, blocked or over a limit",
    "gmail": "whether a limit is reached",
    "ses": "whether the sender's address or domain is verified, and the account out of the sandbox",
}
"""What a provider tells only of a whole message, after its final dot."""

_NO_REPLY: Final = Reply(451, None, "no answer")


async def checkup_of(
    name: str,
    table: UpstreamSettings,
    upstream: Upstream,
    senders: Sequence[Mailbox],
    recipient: Mailbox | None,
    admit: Callable[[], Awaitable[None]],
    gate: Gate | None,
    last: LastMessage | None = None,
    patience: float = PATIENCE,
) -> dict[str, Any]:
    """Examine an upstream as all of `senders`, each to `recipient` (None: the account, or the sender itself).

    Returns one upstream of `relay doctor --json`. Nothing is sent; each sender is a MAIL, which `admit` counts. `last`
    tells what no examination shows: what the provider says of a whole message.
    """
    notes = [_held(gate)] if gate is not None else []
    told = False
    if isinstance(upstream, Smarthost | Graph):
        account = senders[0] if table.account is not None else None
        trials = [Trial(sender, recipient or account or sender) for sender in senders]
        seen = await upstream.examine(trials, _within(patience, admit))
        findings = findings_of(seen, table)
        if seen.limited:
            notes.append(f"MAIL was not tried as every sender: the limits of {name} leave no room for it now.")
        if by_graph(table) and not may_send_large(seen.token):
            notes.append("Messages above 3 MB need the permission Mail.ReadWrite too, which the token does not have.")
    elif isinstance(upstream, SesApi):
        looked = await upstream.look_at_account([str(sender) for sender in senders])
        findings, told = findings_of_ses(looked, table), looked.account is not None
    else:
        findings = findings_of_probe(await upstream.probe(), table)
    steps = [_shape(finding, name, table) for finding in findings]
    well = all(finding.result is Result.OK for finding in findings)
    accused = last is not None and last.accuses_still(logged_in=well)
    if last is not None and last.diagnosis is not None:
        notes.append(f"The last message, {last.told}: {last.diagnosis.title}. relay explain {last.id}  tells more.")
        if accused:
            steps.append(_of_message(last, last.diagnosis))
    elif well and not told:
        notes += _untold(name, table, senders)
    return {
        "upstream": name,
        "ok": well and not accused,
        "steps": steps,
        "lately": last.shape() if last is not None else None,
        "notes": notes,
    }


def _within(patience: float, admit: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[bool]]:
    async def admitted() -> bool:
        try:
            async with asyncio.timeout(patience):
                await admit()
        except TimeoutError:
            return False
        return True

    return admitted


def _shape(finding: Finding, name: str, table: UpstreamSettings) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "name": finding.step.value,
        "result": finding.result.value,
        "detail": finding.detail,
        "reply": reply_text(finding.said),
        "title": None,
        "cause": None,
        "actor": None,
        "actions": [],
        "link": None,
    }
    if finding.result is Result.FAILED:
        shape |= _diagnosis(finding, name, table).shape()
    return shape


def _of_message(last: LastMessage, diagnosis: Diagnosis) -> dict[str, Any]:
    found = {"name": Step.MESSAGE.value, "result": Result.FAILED.value, "detail": last.told}
    return {**found, "reply": reply_text(last.event.reply), **diagnosis.shape()}


def _diagnosis(finding: Finding, name: str, table: UpstreamSettings) -> Diagnosis:
    names = {**names_of(name, table), **finding.names}
    said = finding.said or _NO_REPLY
    if finding.row:
        return diagnosis_for(finding.row, str(said), names)
    return explanation_at(_STAGES.get(finding.step, Stage.OPENING), said, finding.cause, table, names)


def _held(gate: Gate) -> str:
    by_itself = "its mail waits for a probe that succeeds; at once" if gate.next_probe_at else "its mail goes on"
    since = f"since {instant(gate.since_at)} ({gate.reason})"
    return f"{gate.upstream} is held {since}: {by_itself} with: relay queue release --upstream {gate.upstream}"


def _untold(name: str, table: UpstreamSettings, senders: Sequence[Mailbox]) -> list[str]:
    """Say what a provider tells only of a whole message."""
    provider = provider_of(table)
    if provider not in _TOLD_LATE or table.type == "capture":
        return []
    sender = next((one for one in senders if table.account and one.key != table.account.casefold()), None)
    as_whom = f" --from {sender}" if sender is not None else ""
    return [f"Only a whole message shows {_TOLD_LATE[provider]}. To send one: relay test {name} --to ADDRESS{as_whom}"]

"""What each command asks for, answered from the spool; the running relay and a command without one use the same."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast, get_args

from relay.address import ReversePath, parse_mailbox
from relay.config.settings import Settings
from relay.control.checkup import checkup_of
from relay.control.last_message import last_message_of
from relay.control.reasons import message_reasons
from relay.control.shapes import queue_detail_shape, queue_shape, trace_shape
from relay.control.socket import RefusedError
from relay.control.status import Life, status_of
from relay.control.trial import trial_of, trial_sender
from relay.doctor.senders import open_clients, senders_for
from relay.journal import Journal
from relay.spool.contract import Change, Inspection, Outgoing, SpoolError
from relay.spool.records import Gate, HoldReason, Selection, Use
from relay.transfer.explanation import diagnosis_of_gate
from relay.upstream.contract import Upstream

PAGE = 500
"""Messages in one answer; the command asks on."""

_LATELY = 100
"""Messages of a client that are looked at for the senders that it uses."""


class Answers:
    """Answers requests by name. `settings` gives those in force; `upstream` makes or finds an upstream by name."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        inspection: Inspection,
        outgoing: Outgoing,
        journal: Journal,
        upstream: Callable[[str], Upstream],
        life: Life | None = None,
        reload: Callable[[], Awaitable[list[str]]] | None = None,
        nudge: Callable[[str], None] = lambda upstream: None,
        admit: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._settings = settings
        self._inspection = inspection
        self._outgoing = outgoing
        self._journal = journal
        self._upstream = upstream
        self._life = life
        self._reload = reload
        self._nudge = nudge
        self._admit = admit or self._count
        self._known: dict[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = {
            "status": self._status,
            "queue.list": self._queue_list,
            "queue.show": self._queue_show,
            "queue.change": self._queue_change,
            "queue.release_sender": self._queue_release_sender,
            "queue.reroute": self._queue_reroute,
            "upstream.hold": self._upstream_hold,
            "upstream.release": self._upstream_release,
            "upstream.retry": self._upstream_retry,
            "trace": self._trace,
            "test": self._test,
            "doctor": self._doctor,
            "reload": self._reload_settings,
        }

    async def answer(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """Return the JSON value asked for. Raises RefusedError, also where the spool can't do it now."""
        known = self._known.get(command)
        if known is None:
            raise RefusedError(f"{command:.40}: not known to this version of relay")
        try:
            return await known(arguments)
        except SpoolError as error:
            raise RefusedError(f"the queue is not available: {error}") from error

    async def _status(self, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        return await status_of(self._settings(), self._inspection, self._outgoing, self._life)

    async def _queue_list(self, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        selection = self._selection(arguments)
        entries = await self._inspection.queue(selection, arguments.get("after"), PAGE)
        return [queue_shape(entry) for entry in entries]

    async def _queue_show(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        entries = await self._inspection.queue(Selection(id=arguments["id"]), None, 1)
        if not entries:
            raise await self._not_waiting(arguments["id"])
        return queue_detail_shape(entries[0])

    async def _queue_change(self, arguments: Mapping[str, Any]) -> dict[str, int]:
        change = arguments["change"]
        if change not in get_args(Change):
            raise RefusedError(f"{change:.40}: not something that can be done to a message")
        return await self._change(cast(Change, change), self._selection(arguments))

    async def _queue_release_sender(self, arguments: Mapping[str, Any]) -> dict[str, int]:
        # A command of its own: a relay that does not know it must not take it for the release of everything.
        return await self._change("release", Selection(refused_sender=arguments["sender"]))

    async def _change(self, change: Change, selection: Selection) -> dict[str, int]:
        changed = await self._inspection.change(change, selection)
        if change in {"retry", "release"}:
            for name in self._settings().upstream:
                self._nudge(name)
        return await self._changed(selection, changed, change)

    async def _queue_reroute(self, arguments: Mapping[str, Any]) -> dict[str, int]:
        target = self._named_upstream(arguments["to"])
        selection = self._selection(arguments)
        changed = await self._inspection.reroute(selection, target)
        return await self._changed(selection, changed, "reroute")

    async def _changed(self, selection: Selection, changed: int, change: str) -> dict[str, int]:
        if selection.id is not None and not changed:
            waiting = await self._inspection.queue(selection, None, 1)
            if not waiting:
                raise await self._not_waiting(selection.id)
        self._journal.told(f"operator_{change}", id=selection.id, client=selection.client, messages=changed)
        return {"messages": changed}

    async def _not_waiting(self, message_id: str) -> RefusedError:
        traced = await self._inspection.trace(Selection(id=message_id), None, None, 1)
        if traced:
            return RefusedError(
                f"{message_id:.40}: not waiting any more; relay trace {message_id:.40} says what became of it"
            )
        return RefusedError(f"{message_id:.40}: no message has this ID; relay queue list shows those that wait")

    async def _upstream_hold(self, arguments: Mapping[str, Any]) -> dict[str, int]:
        name = self._named_upstream(arguments["upstream"])
        found = self._outgoing.gate(name)
        since = found.since_at if found else _now()
        gate = Gate(name, HoldReason.OPERATOR, since, None, None)
        await self._outgoing.hold(gate)
        self._journal.upstream_held(gate, diagnosis_of_gate(gate, self._settings().upstream))
        return {"upstreams": 1}

    async def _upstream_release(self, arguments: Mapping[str, Any]) -> dict[str, int]:
        name = self._named_upstream(arguments["upstream"])
        opened = await self._outgoing.release(name)
        if opened:
            self._journal.upstream_released(name)
        self._nudge(name)
        return {"upstreams": int(opened)}

    async def _upstream_retry(self, arguments: Mapping[str, Any]) -> dict[str, int]:
        """Make what waits for the upstream due; a gate that is probed is probed at once."""
        name = arguments["upstream"]
        gate = self._outgoing.gate(name)
        if gate is not None and gate.next_probe_at is not None:
            await self._outgoing.hold(dataclasses.replace(gate, next_probe_at=_now()))
        changed = await self._inspection.change("retry", self._selection(arguments))
        self._nudge(name)
        return {"messages": changed}

    async def _trace(self, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        selection = self._selection(arguments)
        limit = min(int(arguments.get("limit") or PAGE), PAGE)
        to, since_at, before = (arguments.get(name) for name in ("to", "since_at", "before"))
        entries = await self._inspection.trace(selection, to, since_at, limit, before)
        if selection.id is not None and not entries:
            raise RefusedError(f"{selection.id:.40}: no message has this ID; relay trace lists the latest")
        if selection.id is None:
            return [trace_shape(entry) for entry in entries]
        return [trace_shape(entry) | {"reasons": message_reasons(entry, self._settings())} for entry in entries]

    async def _test(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        name = self._named_upstream(arguments["upstream"])
        settings = self._settings()
        sender_text = arguments.get("from") or trial_sender(settings, name)
        sender, recipient = parse_mailbox(sender_text), parse_mailbox(arguments["to"])
        if sender is None or recipient is None:
            raise RefusedError(f"{(sender_text if sender is None else arguments['to']):.80}: not an e-mail address")
        trial_id = self._outgoing.next_id()

        async def admit() -> None:
            await self._admit(name)

        return await trial_of(self._upstream(name), trial_id, settings.hostname, sender, recipient, admit)

    async def _doctor(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        name = self._named_upstream(arguments["upstream"])
        settings = self._settings()
        recipient = parse_mailbox(arguments["to"]) if arguments.get("to") else None
        senders = senders_for(name, settings, await self._used_senders(name))

        async def admit() -> None:
            await self._admit(name)

        gate = self._outgoing.gate(name)
        table = settings.upstream[name]
        last = await last_message_of(name, self._inspection, settings, _now())
        return await checkup_of(name, table, self._upstream(name), senders, recipient, admit, gate, last)

    async def _used_senders(self, upstream: str) -> list[ReversePath]:
        """Return as whom those clients sent lately of whom the settings don't say it."""
        used: list[ReversePath] = []
        for client in open_clients(upstream, self._settings()):
            entries = await self._inspection.trace(Selection(client=client), None, None, _LATELY)
            used += [entry.message.reverse_path for entry in entries if not entry.message.notice]
        return used

    async def _count(self, name: str) -> None:
        """Count a test message where no relay runs that would."""
        await self._outgoing.record_use(name, Use(_now(), 1, 1))

    async def _reload_settings(self, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        if self._reload is None:
            raise RefusedError("no relay is running; relay serve starts one")
        problems = await self._reload()
        return {"ok": not problems, "problems": problems}

    def _selection(self, arguments: Mapping[str, Any]) -> Selection:
        return Selection(arguments.get("id"), arguments.get("client"), arguments.get("upstream"))

    def _named_upstream(self, name: str) -> str:
        known = self._settings().upstream
        if name not in known:
            raise RefusedError(f"{name:.60}: no such upstream; there are: {', '.join(known) or 'none'}")
        return name


def _now() -> int:
    return int(time.time() * 1000)

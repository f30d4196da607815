"""Tells people once when something needs them, and once more when it is over: in the log and by mail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TypeAlias

from relay.address import Mailbox, parse_mailbox
from relay.diagnosis.diagnosis import Diagnosis, lines_of
from relay.diagnosis.names import names_of
from relay.envelope import Body, Envelope, Notify, Origin, Recipient
from relay.reply import Reply
from relay.spool.contract import Arrival, SpoolError
from relay.spool.records import Gate, HoldReason, SpooledMessage
from relay.transfer.explanation import diagnosis_of_gate, explanation_of
from relay.transfer.route import Route, route_for
from relay.transfer.surroundings import Surroundings

Post: TypeAlias = Callable[[Arrival], Awaitable[None]]
"""Puts a message into the spool."""

_DAY = 86_400_000

_QUIET = 900_000
"""Milliseconds after the end of something in which the same is not told again; twice as long each time."""


class Alerts:
    """One message a cause, to `alerts.to`. `usable` as in `Postmaster`; without `post` only the log tells."""

    def __init__(self, surroundings: Surroundings, usable: Callable[[str], bool], post: Post | None) -> None:
        self._around = surroundings
        self._usable = usable
        self._post = post
        self._told: set[tuple[str, str]] = set()
        self._quiet: dict[tuple[str, str], tuple[int, int]] = {}
        self._messages_told: dict[tuple[str, str, str], int] = {}

    def known(self, gate: Gate) -> None:
        """The gate stood before this process began: it was told of then."""
        self._told.add((gate.upstream, gate.reason))

    async def held(self, gate: Gate) -> None:
        """An upstream is held."""
        diagnosis = diagnosis_of_gate(gate, self._around.settings.upstream)
        text = (
            f"The upstream {gate.upstream} is held: {diagnosis.title}.\r\n\r\n{_told(diagnosis, gate.reply)}\r\n"
            "No mail is lost: it is accepted and kept, nothing bounces, and the upstream is tried again by itself.\r\n"
            f'"relay explain {gate.upstream}" says how it stands then; '
            f'"relay queue release --upstream {gate.upstream}" tries again.\r\n'
        )
        await self._begin(gate.upstream, gate.reason, f"Relay: {gate.upstream} is held ({gate.reason})", text)

    async def stuck(self, upstream: str, said: Reply | None, minutes: int) -> None:
        """Mail waits for an upstream that could not be reached for long."""
        settings = self._around.settings.upstream.get(upstream)
        diagnosis = explanation_of(said, settings, names_of(upstream, settings)).diagnosis
        text = (
            f"The upstream {upstream} could not be reached for {minutes} minutes: {diagnosis.title}.\r\n\r\n"
            f"{_told(diagnosis, said)}\r\n"
            "Its mail is kept, and tried again and again. "
            f'"relay explain {upstream}" says how it stands then.\r\n'
        )
        await self._begin(upstream, "stuck", f"Relay: mail for {upstream} is stuck", text)

    async def message_held(
        self, upstream: str, reason: HoldReason, message: SpooledMessage, said: Reply | None
    ) -> None:
        """A message waits for a person; told once a day of each sender and reason."""
        key, at = (upstream, reason, message.header_from), self._around.clock()
        if at < self._messages_told.get(key, 0) + _DAY:
            return
        self._messages_told = {told: since for told, since in self._messages_told.items() if at < since + _DAY}
        self._messages_told[key] = at
        settings = self._around.settings.upstream.get(upstream)
        names = names_of(upstream, settings, message.header_from)
        diagnosis = explanation_of(said, settings, names, reason=reason).diagnosis
        text = (
            f"A message from {message.header_from or '(nobody)'} is held: {diagnosis.title}.\r\n\r\n"
            f"{_told(diagnosis, said)}\r\n"
            f'"relay queue show {message.id}" shows it, "relay queue release {message.id}" sends it again, and '
            f'"relay queue remove {message.id}" gives it up. Others of this kind are not told of for a day.\r\n'
        )
        self._around.journal.warned("alert", upstream=upstream, cause=reason.value, id=message.id)
        await self._mail(upstream, f"Relay: a message is held ({reason})", text)

    async def over(self, upstream: str) -> None:
        """Whatever was told of this upstream is over."""
        told = {key for key in self._told if key[0] == upstream}
        if not told:
            return
        self._told -= told
        for key in told:
            self._quiet[key] = self._quiet_after(key)
        causes = ", ".join(sorted(cause for _, cause in told))
        text = f"The upstream {upstream} works again (it was: {causes}). What waited is being sent.\r\n"
        self._around.journal.told("alert_over", upstream=upstream, cause=causes)
        await self._mail(upstream, f"Relay: {upstream} works again", text)

    def _quiet_after(self, key: tuple[str, str]) -> tuple[int, int]:
        """Return until when a cause that is over is not told again, and for how long that is."""
        at = self._around.clock()
        until_at, before = self._quiet.get(key, (0, 0))
        quiet = min(2 * before, _DAY) if before and at < until_at + _DAY else _QUIET
        return at + quiet, quiet

    async def _begin(self, upstream: str, cause: str, subject: str, text: str) -> None:
        key = (upstream, cause)
        if key in self._told or self._around.clock() < self._quiet.get(key, (0, 0))[0]:
            # What is quiet now is told by a later probe, where it lasts.
            return
        self._told.add(key)
        self._around.journal.warned("alert", upstream=upstream, cause=cause)
        await self._mail(upstream, subject, text)

    async def _mail(self, upstream: str, subject: str, text: str) -> None:
        settings = self._around.settings
        to = tuple(one for one in map(parse_mailbox, settings.alerts.to) if one is not None)
        if not to or self._post is None:
            return
        # What is captured reaches nobody.
        others = [name for name, one in settings.upstream.items() if one.type != "capture" and self._usable(name)]
        route = route_for(settings, (settings.alerts.upstream, *others), self._usable, to[0])
        if route is None or not (self._usable(route.candidates[0]) or settings.alerts.upstream):
            self._around.journal.warned("no_way_for_alert", upstream=upstream)
            return
        arrival = self._arrival(route, to, subject, text)
        try:
            await self._post(arrival)
        except SpoolError as error:
            self._around.journal.failed("alert", error)
        else:
            self._around.journal.notice_put(arrival, upstream, "alert")

    def _arrival(self, route: Route, to: tuple[Mailbox, ...], subject: str, text: str) -> Arrival:
        around = self._around
        id_, at, hostname = around.outgoing.next_id(), around.clock(), around.settings.hostname
        fields = (
            f"From: Relay <{route.author}>",
            f"To: {', '.join(f'<{one}>' for one in to)}",
            f"Subject: {subject}",
            f"Date: {format_datetime(datetime.fromtimestamp(at // 1000, UTC))}",
            f"Message-ID: <{id_}@{hostname}>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
        )
        octets = ("".join(f"{field}\r\n" for field in fields) + "\r\n" + text).encode()
        eight_bit = not octets.isascii()
        return Arrival(
            id=id_,
            origin=Origin("", "", "", hostname),
            envelope=Envelope(
                route.reverse_path,
                tuple(Recipient(one, Notify.NEVER) for one in to),
                Body.EIGHT_BIT_MIME if eight_bit else Body.SEVEN_BIT,
                any(not one.ascii for one in (*to, route.author)),
            ),
            candidates=route.candidates,
            content=octets,
            size=len(octets),
            eight_bit=eight_bit,
            header_from=str(route.author),
            message_id=f"<{id_}@{hostname}>",
            accepted_at=at,
            give_up_at=at + round(1000 * around.settings.queue.give_up),
            notice=True,
        )


def _told(diagnosis: Diagnosis, said: Reply | None) -> str:
    """Return the lines of a diagnosis, and the words on which it rests."""
    by = f"{said.said_by} said" if said is not None and said.said_by != "relay" else "What happened"
    quoted = [f"{by}: {said}"] if said is not None else []
    return "".join(f"{line}\r\n" for line in (*lines_of(diagnosis.shape()), *quoted))

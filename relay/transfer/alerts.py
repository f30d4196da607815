"""Tells people once when something needs them, and once more when it is over: in the log, by mail and by webhook."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeAlias

from relay.address import Mailbox, parse_mailbox
from relay.diagnosis.causes import diagnosis_for
from relay.diagnosis.diagnosis import Diagnosis
from relay.diagnosis.names import names_of
from relay.envelope import Body, Envelope, Notify, Origin, Recipient
from relay.reply import Reply
from relay.spool.contract import Arrival, SpoolError
from relay.spool.records import Gate, HoldReason, SpooledMessage
from relay.transfer import alert
from relay.transfer.alert import Alert
from relay.transfer.detour import Detour
from relay.transfer.explanation import diagnosis_of_expiry, diagnosis_of_gate, explanation_of
from relay.transfer.route import Route, route_for
from relay.transfer.surroundings import Surroundings

Post: TypeAlias = Callable[[Arrival], Awaitable[None]]
"""Puts a message into the spool."""

Hook: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Posts an alert's JSON to the webhook, where there is one; returns at once and never raises."""

_DAY = 86_400_000

_QUIET = 900_000
"""Milliseconds after the end of something in which the same is not told again; twice as long each time."""


class Alerts:
    """One alert a cause, to `alerts.to` and `alerts.webhook`. `usable` as in `Postmaster`; without `post` no mail."""

    def __init__(
        self,
        surroundings: Surroundings,
        usable: Callable[[str], bool],
        post: Post | None,
        hook: Hook = lambda shape: None,
    ) -> None:
        self._around = surroundings
        self._usable = usable
        self._post = post
        self._hook = hook
        self._told: dict[tuple[str, str], int] = {}
        self._quiet: dict[tuple[str, str], tuple[int, int]] = {}
        self._messages_told: dict[tuple[str, str, str], int] = {}

    def known(self, gate: Gate) -> None:
        """The gate stood before this process began: it was told of then, unless an operator put it up."""
        if gate.reason is not HoldReason.OPERATOR:
            self._told[gate.upstream, gate.reason.value] = gate.since_at

    async def held(self, gate: Gate) -> None:
        """An upstream is held."""
        await self._begin(alert.held(gate, diagnosis_of_gate(gate, self._around.settings.upstream)))

    async def stuck(self, upstream: str, said: Reply | None, minutes: int) -> None:
        """Mail waits for an upstream that could not be reached for long."""
        await self._begin(alert.stuck(upstream, minutes, self._around.clock(), self._why(upstream, said), said))

    async def failing_over(
        self, upstream: str, ways: Sequence[Detour], since_at: int, said: Reply | None, *, known: bool
    ) -> None:
        """Mail goes by other upstreams meanwhile; `known`: it did when this process began, and was told of then."""
        if known:
            self._told[upstream, alert.FAILOVER] = since_at
            return
        gate = self._around.outgoing.gate(upstream)
        upstreams = self._around.settings.upstream
        why = diagnosis_of_gate(gate, upstreams) if gate is not None else self._why(upstream, said)
        await self._begin(alert.failing_over(upstream, ways, since_at, why, said))

    async def message_held(
        self, upstream: str, reason: HoldReason, message: SpooledMessage, said: Reply | None
    ) -> None:
        """A message waits for a person; told once a day of each sender and reason."""
        key, at = (upstream, reason, message.header_from), self._around.clock()
        if at < self._messages_told.get(key, 0) + _DAY:
            return
        self._messages_told = {told: since for told, since in self._messages_told.items() if at < since + _DAY}
        self._messages_told[key] = at
        diagnosis = self._why(upstream, said, reason, message.header_from, message.id)
        self._around.journal.warned("alert", upstream=upstream, cause=reason.value, id=message.id)
        await self._tell(alert.message_held(upstream, reason, message, at, diagnosis, said))

    async def over(self, upstream: str) -> None:
        """Whatever was told of this upstream is over."""
        told = {key: since_at for key, since_at in self._told.items() if key[0] == upstream}
        if not told:
            return
        for key in told:
            del self._told[key]
            self._quiet[key] = self._quiet_after(key)
        causes = ", ".join(sorted(cause for _, cause in told))
        self._around.journal.told("alert_over", upstream=upstream, cause=causes)
        await self._tell(alert.over(upstream, causes, min(told.values())))

    # ---- what is looked for now and then; whoever looks remembers of what was told ---------------------------

    def has_way(self) -> bool:
        """Return whether a mail would leave now; True also where nobody is to get one."""
        to = self._to()
        return not to or self._way(to) is not None

    async def ends(self, what: str, kind: str, upstream: str | None, expires_at: int, *, by_mail_only: bool) -> bool:
        """A secret or certificate ends soon, or has ended. False where the mail has no way and is still to be sent."""
        table = self._around.settings.upstream.get(upstream or "")
        diagnosis = diagnosis_of_expiry(what, kind, upstream, table)
        found = alert.ends(what, kind, upstream, expires_at, self._around.clock(), diagnosis)
        if by_mail_only:
            return await self._mail(found)
        self._around.journal.warned("alert", upstream=upstream, cause=found.event, what=what, expires_at=expires_at)
        return await self._tell(found)

    async def renewed(self, what: str, kind: str, upstream: str | None, expires_at: int, before_at: int) -> None:
        """What was told to end, at `before_at`, was renewed."""
        self._around.journal.told("alert_over", upstream=upstream, cause="expiring", what=what, expires_at=expires_at)
        await self._tell(alert.renewed(what, kind, upstream, expires_at, before_at))

    async def nearly_used(self, upstream: str, quota: str, used: int, limit: int) -> None:
        """A daily limit is nearly used up."""
        names = names_of(upstream, self._around.settings.upstream.get(upstream))
        diagnosis = diagnosis_for("daily_limit_near", "", names)
        self._around.journal.warned("alert", upstream=upstream, cause="quota", quota=quota, used=used, limit=limit)
        await self._tell(alert.nearly_used(upstream, quota, used, limit, self._around.clock(), diagnosis))

    # ---- how it is told ----------------------------------------------------------------------------------

    def _why(
        self,
        upstream: str,
        said: Reply | None,
        reason: HoldReason | None = None,
        sender: str = "",
        message: str = "",
    ) -> Diagnosis:
        settings = self._around.settings.upstream.get(upstream)
        names = names_of(upstream, settings, sender, message)
        return explanation_of(said, settings, names, reason=reason, deferred=reason is None).diagnosis

    def _quiet_after(self, key: tuple[str, str]) -> tuple[int, int]:
        """Return until when a cause that is over is not told again, and for how long that is."""
        at = self._around.clock()
        until_at, before = self._quiet.get(key, (0, 0))
        quiet = min(2 * before, _DAY) if before and at < until_at + _DAY else _QUIET
        return at + quiet, quiet

    async def _begin(self, found: Alert) -> None:
        key = (found.about, found.reason)
        if key in self._told or self._around.clock() < self._quiet.get(key, (0, 0))[0]:
            # What is quiet now is told by a later probe, where it lasts.
            return
        self._told[key] = found.since_at
        self._around.journal.warned("alert", upstream=found.about, cause=found.reason)
        await self._tell(found)

    async def _tell(self, found: Alert) -> bool:
        settings = self._around.settings
        self._hook(found.shape(settings.hostname, self._around.clock(), settings.log.addresses))
        return await self._mail(found)

    async def _mail(self, found: Alert) -> bool:
        """Put it into the spool. False where no upstream would take it."""
        to = self._to()
        if not to or self._post is None:
            return True
        route = self._way(to)
        if route is None:
            self._around.journal.warned("no_way_for_alert", upstream=found.upstream)
            return False
        arrival = self._arrival(route, to, found)
        try:
            await self._post(arrival)
        except SpoolError as error:
            self._around.journal.failed("alert", error)
            return False
        self._around.journal.notice_put(arrival, found.about, "alert")
        return True

    def _to(self) -> tuple[Mailbox, ...]:
        return tuple(one for one in map(parse_mailbox, self._around.settings.alerts.to) if one is not None)

    def _way(self, to: tuple[Mailbox, ...]) -> Route | None:
        settings = self._around.settings
        # What is captured reaches nobody.
        others = [name for name, one in settings.upstream.items() if one.type != "capture" and self._usable(name)]
        route = route_for(settings, (settings.alerts.upstream, *others), self._usable, to[0])
        return route if route is not None and (self._usable(route.candidates[0]) or settings.alerts.upstream) else None

    def _arrival(self, route: Route, to: tuple[Mailbox, ...], found: Alert) -> Arrival:
        around = self._around
        id_, at, hostname = around.outgoing.next_id(), around.clock(), around.settings.hostname
        fields = (
            f"From: Relay <{route.author}>",
            f"To: {', '.join(f'<{one}>' for one in to)}",
            f"Subject: {found.subject}",
            f"Date: {format_datetime(datetime.fromtimestamp(at // 1000, UTC))}",
            f"Message-ID: <{id_}@{hostname}>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
        )
        octets = ("".join(f"{field}\r\n" for field in fields) + "\r\n" + found.text).encode()
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

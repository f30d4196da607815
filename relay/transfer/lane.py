"""One upstream's lane: claims what is due as long as the upstream is open, and finds out when it opens again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence

from relay.config.providers import provider_of
from relay.config.upstream_settings import UpstreamSettings
from relay.reply import Reply
from relay.spool.records import Claim, Gate, Load, RecipientState
from relay.transfer.alerts import Alerts
from relay.transfer.attempts import Attempts
from relay.transfer.clock import steady_clock
from relay.transfer.custody import Custody
from relay.transfer.deadline import missed, out_of_time, while_held, within_deadline
from relay.transfer.meter import Meter
from relay.transfer.outcome import Relayed
from relay.transfer.overdue import Overdue
from relay.transfer.pace import Pace
from relay.transfer.settling import Settling
from relay.transfer.standing import Standing
from relay.transfer.surroundings import Surroundings
from relay.transfer.throttle import Limits
from relay.transfer.verdict import outcome_of_probe
from relay.upstream.contract import Conversation, Upstream

_SWEEP = 60_000
"""Milliseconds between two looks at what waits beyond its time behind the upstream's limits."""

_SWEEP_HELD = 900_000
"""The same for delays that senders want to hear of while the upstream is held: a million messages may wait there."""

_LOOK = 500
"""Milliseconds between two looks at what may change without stirring us: a gate that somebody opens, a limit."""

_ERROR_PAUSE = 1000

_AHEAD, _AHEAD_METERED = 4, 1
"""Messages a connection that are claimed ahead: so many that none waits for the spool; few where a limit makes them
wait, since what comes with a higher priority has to wait for them."""

_UNSETTLED = 12
"""Messages a connection that may be unsettled at once."""


class Lane:
    """A slow or held upstream's lane never delays another's."""

    def __init__(
        self,
        upstream: Upstream,
        settings: UpstreamSettings,
        surroundings: Surroundings,
        custody: Custody,
        settling: Settling,
        alerts: Alerts,
    ) -> None:
        self.name = upstream.name
        self.standing = Standing(self.name, surroundings, alerts)
        self.attempts = Attempts(upstream, surroundings, custody, settling, self.standing, self._attempt_ended)
        self._around = surroundings
        self._custody = custody
        self._settling = settling
        self._stir = asyncio.Event()
        self._stopping = False
        self._hurried = False
        self._dry = False
        self._overdue = Overdue(self.name, surroundings, custody, settling)
        self._sweeping: asyncio.Task[None] | None = None
        self._swept_at = 0
        self._began_at = surroundings.clock()
        self._probe: asyncio.Task[Conversation] | None = None
        # One for all the lane's life: what waits at it when the limits change goes by the new ones, and is counted.
        self.meter = Meter(self.name, Limits(), surroundings.outgoing, surroundings.journal, steady_clock())
        self.attempts.meter = self.meter
        self._configure(settings)

    def _configure(self, settings: UpstreamSettings) -> None:
        limits = Limits(settings.messages_per_minute, settings.recipients_per_day, settings.messages_per_hour)
        self._settings = settings
        self.meter.change(limits)
        self._loaded = not limits.any
        self.attempts.provider = provider_of(settings)
        self.attempts.logs_in = settings.type != "smtp" or bool(getattr(settings, "username", None))
        self.attempts.pace = Pace(settings.max_connections)

    @property
    def load(self) -> Load:
        """How busy the upstream is."""
        waiting = self._around.outgoing.waiting_at(self.name, RecipientState.QUEUED, RecipientState.IN_FLIGHT)
        return self.meter.load_of(waiting, open_now=not self.standing.closed)

    async def look_for_silence(self, now: int) -> None:
        """Count the upstream as unreachable where it is asked, and has given no answer for `failover_after`."""
        patience = self._settings.failover_after
        since_at = self.standing.unanswered_since(now, patience)
        hangs_since_at = self.attempts.silent_since(now)
        if hangs_since_at is not None and now - hangs_since_at >= 1000 * patience:
            since_at = hangs_since_at
        if since_at is None or self.standing.closed:
            return
        self.standing.lost(since_at)
        await self.attempts.give_back_backlog()
        self._stir.set()

    def change(self, upstream: Upstream, settings: UpstreamSettings) -> None:
        """Go on with another configuration; what is being sent ends on the old connections."""
        self.attempts.replace(upstream)
        if settings != self._settings:
            self._configure(settings)
        self.nudge()

    def nudge(self) -> None:
        """Try at once what is held or unreachable: the reason may be gone. An operator's gate stays."""
        self._hurried = True
        self.standing.reach.hurry(self._around.clock())
        self._stir.set()

    def stop(self) -> None:
        """Claim no more, and begin nothing; what is being sent goes on."""
        self._stopping = self.attempts.stopped = self._overdue.stopped = True
        self._stir.set()
        if self._probe is not None:
            self._probe.cancel()

    async def run(self) -> None:
        """Work until stopped; then give back what was not begun."""
        while not self._stopping:
            try:
                await self._turn()
            except Exception as error:
                self._around.journal.failed(f"lane {self.name}", error)
                await self._rest(self._around.clock() + _ERROR_PAUSE)
        await self.attempts.give_back_backlog()

    async def _turn(self) -> None:
        self._stir.clear()
        self._dry = False
        now = self._around.clock()
        if not self._loaded:
            await self.meter.load()
            self._loaded = True
        if self._settling.troubled or self.attempts.reacting:
            await self._rest(now + _ERROR_PAUSE)
        elif (gate := self.standing.look()) is not None:
            await self._while_held(gate, now)
        elif self.standing.reach.down:
            await self._while_down(now)
        else:
            await self._while_open(now)

    # ---- what is put comes at once, where nothing older is due ------------------------------------------

    def has_room(self, under_way: int, recipients: int) -> bool:
        """Return whether one more message would be begun, as the spool asks when it puts one."""
        if not self._dry or self._stopping or self.standing.closed or self._settling.troubled or self.attempts.reacting:
            return False
        messages, most = self._room(self._around.clock())
        return messages > under_way and recipients <= most

    def take(self, claims: Sequence[Claim]) -> None:
        """Begin what was just put; give it back where the upstream was held or lost meanwhile."""
        self._custody.take(claims)
        if self._stopping or self.standing.closed:
            self.attempts.put_back(claims)
        else:
            begun, postponed = self._around.paces.parted(claims, self._around.clock())
            self.attempts.add(begun)
            self.attempts.put_off(postponed)

    # ---- open ----------------------------------------------------------------------------------------

    async def _while_open(self, now: int) -> None:
        self._hurried = False
        messages, recipients = self._room(now)
        if messages <= 0:
            if now - self._swept_at >= _SWEEP and self.meter.limited:
                self._sweep(None)
            # What is claimed already may have taken up what the limits admit: then the end of an attempt stirs.
            await self._rest(max(min(self.meter.opens_at(), self._swept_at + _SWEEP), now + _LOOK))
            return
        claims = await self._claim(messages, recipients)
        if self.standing.closed or self._stopping:
            # Meanwhile the upstream was held or lost.
            await self._settling.give_back(claims)
            return
        await self._begin(claims, now)
        if len(claims) < messages:
            await self._wait_for_work()

    async def _begin(self, claims: Sequence[Claim], now: int) -> None:
        over: list[Claim] = []
        timely: list[Claim] = []
        for claim in claims:
            (over if missed(claim, self._around.settings, now) else timely).append(claim)
        begun, postponed = self._around.paces.parted(timely, now)
        self.attempts.add(begun)
        later: list[tuple[Claim, int]] = []
        for claim, at in postponed:
            # Whose turn does not come before its time is over is given up.
            if out_of_time(claim, now):
                over.append(claim)
            else:
                later.append((claim, at))
        await self._settling.postpone(later)
        if over:
            await self._overdue.expire(over)

    def _room(self, now: int) -> tuple[int, int]:
        """Return how many messages to claim, and how many recipients of each; none while enough are in hand."""
        attempts = self.attempts
        allowed = attempts.pace.allowed(now)
        metered = self.meter.limited
        ahead = _AHEAD_METERED if metered else _AHEAD
        messages = (1 + ahead) * allowed - len(attempts.sending) - len(attempts.backlog)
        if messages < max(1, allowed // 2) or len(attempts.tasks) > _UNSETTLED * allowed:
            return 0, 0
        recipients = self._settings.recipients_per_message
        if not metered:
            return messages, recipients
        messages_left, recipients_left = self.meter.room()
        uncounted = attempts.uncounted()
        if messages_left is not None:
            messages = min(messages, messages_left - len(uncounted))
        if recipients_left is not None:
            recipients_left -= sum(len(claim.recipients) for claim in uncounted)
            recipients = min(recipients, recipients_left)
            messages = min(messages, recipients_left // recipients) if recipients > 0 else 0
        return messages, recipients

    async def _claim(self, messages: int, recipients: int) -> Sequence[Claim]:
        settings, gate, now = self._around.settings, self.standing.gate, self._around.clock()
        claims = await self._around.outgoing.claim(self.name, messages, recipients)
        if gate is not None:
            claims = [while_held(claim, gate.since_at, now) for claim in claims]
        claims = [within_deadline(claim, settings) for claim in claims]
        self._custody.take(claims)
        return claims

    def _attempt_ended(self) -> None:
        # While nothing is due, the end of an attempt is no reason to ask the spool again, but for a trial's time.
        if not self._dry or self.standing.closed:
            self._stir.set()

    async def _wait_for_work(self) -> None:
        self._dry = True
        await self._first_of(self._around.outgoing.wait_for_work(self.name, None))

    # ---- held or unreachable -------------------------------------------------------------------------

    async def _while_held(self, gate: Gate, now: int) -> None:
        """Probe when it is time: a login, and where that works one message, since limits show with a message only."""
        # An operator may have put it up while messages waited here for a connection.
        await self.attempts.give_back_backlog()
        if now - max(self._swept_at, self._began_at) >= _SWEEP_HELD and gate.reply is not None:
            self._sweep(gate.reply)
        probe_at = gate.next_probe_at
        due = probe_at is not None and (now >= probe_at or self._hurried)
        if not due or self.attempts.tasks:
            await self._rest(now + _LOOK if probe_at is None else max(now, min(now + _LOOK, probe_at)))
            return
        self._hurried = False
        if not await self._probed():
            return
        claims = await self._claim(1, self._settings.recipients_per_message)
        while claims and missed(claims[0], self._around.settings, self._around.clock()):
            await self._overdue.expire(claims)
            claims = await self._claim(1, self._settings.recipients_per_message)
        if claims:
            self.attempts.try_out(claims[0])
        else:
            await self.standing.release()

    async def _while_down(self, now: int) -> None:
        """Try one message when it is time; meanwhile give up those whose time is over."""
        trial_at = self.standing.reach.trial_at
        if self.attempts.tasks or (trial_at is not None and now < trial_at):
            await self._rest(trial_at if not self.attempts.tasks else None)
            return
        self._sweep(self.standing.reach.reply)
        claims = await self._claim(1, self._settings.recipients_per_message)
        if not claims:
            await self._probed()
        elif missed(claims[0], self._around.settings, now):
            await self._overdue.expire(claims)
        else:
            self.attempts.try_out(claims[0])

    def _sweep(self, said: Reply | None) -> None:
        """Look for what waits beyond its time, beside all else: there may be a million of it."""
        if self._sweeping is not None and not self._sweeping.done():
            return
        self._swept_at = self._around.clock()
        self._sweeping = asyncio.create_task(self._overdue.sweep(self._settings.recipients_per_message, said))
        self.attempts.returning.add(self._sweeping)
        self._sweeping.add_done_callback(self.attempts.returning.discard)

    async def _probed(self) -> bool:
        """Log in and react to what comes of it; True where it worked."""
        self._probe = asyncio.create_task(self.attempts.upstream.probe())
        await asyncio.wait({self._probe})
        probe, self._probe = self._probe, None
        if probe.cancelled():
            return False
        conversation = probe.result()
        outcome = outcome_of_probe(conversation, self.attempts.provider)
        self.standing.changed_by(conversation, (outcome,))
        worked = isinstance(outcome, Relayed)
        if not worked or self.standing.gate is None:
            await self.standing.react(conversation, (outcome,), trial=True)
        return worked

    # ---- waiting ---------------------------------------------------------------------------------------

    async def _rest(self, until_at: int | None) -> None:
        """Wait until something stirs, or until then."""
        seconds = None if until_at is None else max(0.0, (until_at - self._around.clock()) / 1000)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stir.wait(), seconds)

    async def _first_of(self, something: Awaitable[None]) -> None:
        """Wait until something comes, or something stirs."""
        waiting = {asyncio.ensure_future(something), asyncio.ensure_future(self._stir.wait())}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

"""How an upstream stands: open, held or unreachable; what each conversation changes in that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from relay.reply import Reply
from relay.spool.contract import SpoolError
from relay.spool.records import Gate, HoldReason
from relay.transfer.alerts import Alerts
from relay.transfer.explanation import diagnosis_of_gate
from relay.transfer.gate import Opened, gate_for, put_off
from relay.transfer.outage import Sight
from relay.transfer.outcome import Deferred, Hold, Outcome, Relayed
from relay.transfer.reach import Reach
from relay.transfer.schedule import next_probe
from relay.transfer.silence import NO_ANSWER
from relay.transfer.surroundings import Surroundings
from relay.transfer.verdict import account_hold, unanswered, unreachable
from relay.upstream.contract import Conversation, Phase


@dataclass(frozen=True, slots=True)
class State:
    """What `relay status` shows. `next_probe_at` also for the next trial of an unreachable upstream."""

    state: Literal["open", "held", "unreachable"]
    reason: str | None = None
    since_at: int | None = None
    next_probe_at: int | None = None
    reply: Reply | None = None


class Standing:
    """One upstream's. The gate is the spool's; whether it can be reached only this process knows."""

    def __init__(self, upstream: str, surroundings: Surroundings, alerts: Alerts) -> None:
        self.reach = Reach()
        self._upstream = upstream
        self._around = surroundings
        self._alerts = alerts
        self._since: dict[str, int] = {}
        self._gate_seen = False
        self._untried = False
        self._opened: Opened | None = None
        self._up: bool | None = None
        self._unanswered_since: int | None = None
        self._doubted = False
        self._delivers = False
        self._found = surroundings.outgoing.gate(upstream)
        self._soon_at = next_probe(0, surroundings.clock(), surroundings.settings.queue, surroundings.chance())

    @property
    def gate(self) -> Gate | None:
        """The gate, where the upstream is held.

        One that stood when this process began is probed `retry_first` later at the latest: a secret of the environment
        changes by a start alone, and who mended anything else meanwhile does not wait for long either.
        """
        gate = self._around.outgoing.gate(self._upstream)
        if gate is None or gate.next_probe_at is None or gate != self._found:
            return gate
        return replace(gate, next_probe_at=min(gate.next_probe_at, self._soon_at))

    @property
    def state(self) -> State:
        """What to show."""
        gate = self.gate
        if gate is not None:
            return State("held", gate.reason, gate.since_at, gate.next_probe_at, gate.reply)
        if self.reach.down:
            said = str(self.reach.reply) if self.reach.reply else None
            return State("unreachable", said, self.reach.since_at, self.reach.trial_at, self.reach.reply)
        return State("open")

    @property
    def sight(self) -> Sight:
        """What failover goes by."""
        gate = self.gate
        if gate is not None:
            return Sight(gate.since_at, by_operator=gate.reason is HoldReason.OPERATOR)
        if self.reach.down:
            return Sight(self.reach.since_at)
        proven = self._up is True and self._unanswered_since is None and not self._doubted
        return Sight(proven=proven, delivers=proven and self._delivers)

    def unanswered_since(self, at: int, patience: float) -> int | None:
        """Return since when messages have waited in vain for a reply behind MAIL, for `patience` seconds at least.

        Where that was so before, and no more than a login has worked since, one message is enough.
        """
        since_at = self._unanswered_since
        if since_at is None or not (self._doubted or at - since_at >= 1000 * patience):
            return None
        return since_at

    @property
    def closed(self) -> bool:
        """True while nothing but a trial is sent."""
        return self.reach.down or self.gate is not None

    def changed_by(self, conversation: Conversation, outcomes: Sequence[Outcome]) -> bool:
        """Note a conversation; True where `react` has to follow, because it was not an ordinary one."""
        up = conversation.phase > Phase.AUTH
        if up is not self._up:
            self._up = up
            self._around.journal.upstream_up(self._upstream, up=up)
        if unanswered(conversation):
            self._unanswered_since = self._unanswered_since or self._around.clock()
        elif up and conversation.recipients:
            self._unanswered_since, self._doubted = None, False
        held = account_hold(outcomes) is not None
        if held or not up or conversation.recipients:
            self._delivers = up and not held
        if unreachable(conversation) or self.reach.down or held or self._untried:
            return True
        complaint = False
        for one in outcomes:
            if isinstance(one, Relayed):
                self._since.clear()
            elif isinstance(one, Deferred) and one.hold_after is not None:
                complaint = True
        return complaint

    async def react(self, conversation: Conversation, outcomes: Sequence[Outcome], *, trial: bool) -> None:
        """Put up, change or open the gate, and note whether the upstream was reached.

        `trial` tells that the conversation was the one attempt that finds out, while nothing else is sent.
        """
        hold = account_hold(outcomes) or self._lasting(outcomes)
        if hold is not None:
            await self._hold(hold, trial=trial)
        elif unreachable(conversation) or (self.reach.down and unanswered(conversation)):
            await self._failed(conversation.reply, conversation.pause, trial=trial)
        else:
            if self._unanswered_since is not None:
                # A login says nothing of what comes behind it.
                self._unanswered_since, self._doubted = None, True
            self.reach.succeeded()
            if trial or self.gate is None:
                await self.release()

    def lost(self, since_at: int) -> None:
        """It gives no answer since then: from now on it counts as unreachable."""
        around = self._around
        self.reach.failed(NO_ANSWER, around.clock(), around.settings.queue, around.chance())
        self.reach.since_at = since_at

    def look(self) -> Gate | None:
        """Return the gate. Where somebody else opened it, it is over as soon as a conversation has worked."""
        gate = self.gate
        self._untried = gate is None and (self._untried or self._gate_seen)
        self._gate_seen = gate is not None
        return gate

    async def release(self) -> None:
        """Open the gate, unless an operator put it up, and tell that it is over."""
        gate = self.gate
        if gate is not None:
            if gate.next_probe_at is None:
                return
            await self._around.outgoing.release(self._upstream)
            self._opened = Opened(gate.reason, gate.probes, self._around.clock())
            self._around.journal.upstream_released(self._upstream)
        self._untried = False
        await self._alerts.over(self._upstream)

    async def _hold(self, hold: Hold, *, trial: bool) -> None:
        around = self._around
        at, queue = around.clock(), around.settings.queue
        chance, opened = around.chance(), self._opened
        gate = gate_for(hold, self._upstream, self.gate, at, queue, chance, probed=trial, opened=opened)
        if gate is not None and await self._put_up(gate):
            around.journal.upstream_held(gate, diagnosis_of_gate(gate, around.settings.upstream))
            await self._alerts.held(gate)

    async def _failed(self, said: Reply | None, pause: float, *, trial: bool) -> None:
        around = self._around
        at, queue, gate = around.clock(), around.settings.queue, self.gate
        if gate is not None:
            if trial and await self._put_up(put_off(gate, at, queue, around.chance())):
                around.journal.warned("probe_failed", upstream=self._upstream, reply=str(said))
            return
        if trial or not self.reach.down:
            self.reach.failed(said, at, queue, around.chance(), pause)
        elif pause:
            self.reach.put_off(at, pause)
        seconds = (at - self.reach.since_at) / 1000
        if seconds >= around.settings.alerts.stuck_after:
            await self._alerts.stuck(self._upstream, said, round(seconds / 60))

    async def _put_up(self, gate: Gate) -> bool:
        try:
            await self._around.outgoing.hold(gate)
        except SpoolError as error:
            # What can't be kept in the spool is kept here: a pause, after which it is found out again.
            around = self._around
            around.journal.failed("hold", error)
            self.reach.failed(gate.reply, around.clock(), around.settings.queue, around.chance())
            return False
        # Somebody may open it before the lane looks again.
        self._gate_seen = True
        return True

    def _lasting(self, outcomes: Sequence[Outcome]) -> Hold | None:
        """Return the hold that a complaint becomes by coming again and again for long enough."""
        at = self._around.clock()
        for one in outcomes:
            if isinstance(one, Deferred) and one.hold_after is not None and one.reason is not None:
                since = self._since.setdefault(one.row, at)
                if at - since >= one.hold_after * 1000:
                    return Hold(one.reply, one.reason)
        return None

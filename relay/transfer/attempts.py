"""The attempts of one lane: as many at once as there are connections, each settled while the next one is sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Protocol

from relay.config.providers import Provider
from relay.reply import reply
from relay.spool.records import Claim
from relay.transfer.attempt import Attempt
from relay.transfer.custody import Custody
from relay.transfer.faces import Faces
from relay.transfer.meter import Meter
from relay.transfer.outcome import Deferred, Outcome, Uncertain
from relay.transfer.pace import Pace
from relay.transfer.settling import Settling
from relay.transfer.silence import Silence
from relay.transfer.standing import Standing
from relay.transfer.surroundings import Surroundings
from relay.transfer.verdict import complains_of_connections, outcomes_of, unanswered, unreachable
from relay.upstream.contract import Conversation, Phase, Upstream

_OUR_FAULT = reply(451, "4.3.0", "An error of the relay's own; it may be tried again")


class Waiting(Protocol):
    """A message whose client waits for the upstream's answer, until there is a connection for it."""

    def begin(self, upstream: Upstream, meter: Meter, faces: Faces) -> Attempt:
        """Return its attempt, which goes by these."""
        ...

    def dismiss(self) -> None:
        """Take note that it will not be begun."""
        ...


class Attempts:
    """`upstream`, `provider`, `logs_in`, `meter`, `pace` change with the configuration.

    `ended` is called after each attempt. While it is `reacting`, to the end of an attempt or to another configuration,
    nothing is begun.
    """

    def __init__(
        self,
        upstream: Upstream,
        surroundings: Surroundings,
        custody: Custody,
        settling: Settling,
        standing: Standing,
        ended: Callable[[], None],
    ) -> None:
        self.upstream = upstream
        self.provider: Provider = "smtp"
        self.logs_in = True
        self.pace = Pace(1)
        self.meter: Meter
        self.backlog: deque[Claim] = deque()
        self.waiting: deque[Waiting] = deque()
        self._waited_last = False
        self.sending: set[Attempt] = set()
        self.tasks: dict[asyncio.Task[None], Attempt] = {}
        self.returning: set[asyncio.Task[None]] = set()
        self.reacting = 0
        self._conversations = 0
        self._silence = Silence()
        self._connections = -1
        self.stopped = False
        self._around = surroundings
        self._custody = custody
        self._settling = settling
        self._standing = standing
        self._ended = ended

    def add(self, claims: Iterable[Claim]) -> None:
        """Begin what there are connections for; the rest waits its turn, high priority first."""
        for claim in claims:
            at = len(self.backlog)
            while at and self.backlog[at - 1].message.priority > claim.message.priority:
                at -= 1
            self.backlog.insert(at, claim)
        self._begin()

    def offer(self, message: Waiting) -> None:
        """Begin it as soon as there is a connection, in turn with what was claimed: its client waits."""
        self.waiting.append(message)
        self._begin()

    def try_out(self, claim: Claim) -> None:
        """Begin the one attempt that finds out how the upstream is."""
        self._start(claim, trial=True)

    def interrupt(self, *, past_dot: bool) -> None:
        """End what is being sent: what cannot have been taken yet, or with `past_dot` everything."""
        for attempt in list(self.sending):
            if past_dot or not attempt.past_dot:
                attempt.interrupt()

    def replace(self, upstream: Upstream) -> None:
        """Go on with another object, once the connections are closed that the one before has idle.

        The provider counts the connections of both: those in use count as ours until their attempts end.
        """
        before, self.upstream = self.upstream, upstream
        if before is not upstream:
            self.begin_after(before.retire())

    def begin_after(self, work: Coroutine[None, None, None]) -> None:
        """Begin nothing before this has ended."""
        self.reacting += 1
        self._return(self._after(work))

    async def over(self) -> None:
        """Return once nothing is sent any more, and no connection is kept."""
        await self.finish(self.upstream)
        await self.upstream.retire()

    async def finish(self, upstream: Upstream) -> None:
        """Return once nothing is sent by this object any more, which a reload replaced."""
        while tasks := {task for task, attempt in self.tasks.items() if attempt.upstream is upstream}:
            await asyncio.wait(tasks)

    async def give_back_backlog(self) -> None:
        """Make due again, or dismiss, what was not begun."""
        while self.waiting:
            self.waiting.popleft().dismiss()
        claims = list(self.backlog)
        self.backlog.clear()
        await self._settling.give_back(claims)

    def put_back(self, claims: Sequence[Claim]) -> None:
        """Make due again what came too late to be begun."""
        self._return(self._settling.give_back(claims))

    def put_off(self, postponed: Sequence[tuple[Claim, int]]) -> None:
        """Make due later what was just put and may not begin yet."""
        if postponed:
            self._return(self._settling.postpone(postponed))

    @property
    def direct(self) -> int:
        """How many messages wait, or are on their way, whose clients wait for the answer."""
        return len(self.waiting) + sum(1 for attempt in self.sending if attempt.ends is not self._settling)

    def silent_since(self, at: int) -> int | None:
        """Return since when every attempt hangs before MAIL, as seen from look to look; None where none does."""
        reached = sum(attempt.reached for attempt in self.sending)
        return self._silence.look(len(self.sending) - reached, reached, self._conversations, at)

    def uncounted(self) -> list[Claim]:
        """Return the claims that still have to be counted against the upstream's limits."""
        return [*self.backlog, *(attempt.claim for attempt in self.sending if not attempt.counted)]

    def _return(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self.returning.add(task)
        task.add_done_callback(self.returning.discard)

    async def _after(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # task root: what could not be closed stops no mail
            self._around.journal.failed("upstream", error)
        finally:
            self.reacting -= 1
        self._begin()
        self._ended()

    def _begin(self) -> None:
        allowed = self.pace.allowed(self._around.clock())
        while len(self.sending) < allowed and not (self.reacting or self.stopped):
            if self.waiting and not (self._waited_last and self.backlog):
                self._waited_last = True
                self._follow(self.waiting.popleft().begin(self.upstream, self.meter, self._around.faces))
            elif self.backlog:
                self._waited_last = False
                self._start(self.backlog.popleft(), trial=False)
            else:
                return

    def _start(self, claim: Claim, *, trial: bool) -> None:
        valid, ends = self._custody.valid, self._settling
        face, journal = self._around.faces.face_of(claim.message, claim.upstream), self._around.journal
        self._follow(Attempt(claim, self.upstream, self.meter, valid, ends, journal, face, trial=trial))

    def _follow(self, attempt: Attempt) -> None:
        self.sending.add(attempt)
        task = asyncio.create_task(self._run(attempt))
        self.tasks[task] = attempt
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.pop(task, None)
        self._ended()

    async def _run(self, attempt: Attempt) -> None:
        claim = attempt.claim
        conversation: Conversation | None = None
        try:
            conversation = await attempt.converse()
            self.sending.discard(attempt)
            if conversation is None:
                self._begin()
                await attempt.ends.give_back([claim])
            else:
                await self._conclude(attempt, conversation)
        except Exception as error:
            self._around.journal.failed("attempt", error)
            await attempt.ends.settle(claim, self._known(attempt, conversation))
        finally:
            self.sending.discard(attempt)
            self._custody.end(claim)

    def _known(self, attempt: Attempt, conversation: Conversation | None) -> Sequence[Outcome]:
        """Return what came of an attempt in spite of an error of ours: what was answered is not sent again for it."""
        if conversation is not None and conversation.phase is Phase.DONE:
            return outcomes_of(conversation, attempt.claim, self.provider, logs_in=self.logs_in)
        outcome: Outcome = Uncertain() if attempt.past_dot else Deferred(_OUR_FAULT)
        return [outcome] * len(attempt.claim.recipients)

    async def _conclude(self, attempt: Attempt, conversation: Conversation) -> None:
        claim, others = attempt.claim, len(self.sending)
        self._conversations += attempt.reached
        self._show_connections()
        outcomes = outcomes_of(conversation, claim, self.provider, logs_in=self.logs_in)
        if complains_of_connections(outcomes):
            self._slow_down(others + 1)
            if unreachable(conversation) and (others or self.upstream.connections):
                # The other connections work, in use or kept: the claim goes by one of them.
                await attempt.ends.give_back([claim])
                self._begin()
                return
        down_before = self._standing.reach.down
        if self._standing.changed_by(conversation, outcomes) or attempt.trial:
            await self._react(attempt, conversation, outcomes)
        else:
            self._begin()
        lost = unreachable(conversation)
        silent = unanswered(conversation) and not conversation.ambiguous
        trial_at = self._standing.reach.trial_at if lost or silent else None
        if lost and trial_at is not None and down_before and not attempt.trial:
            # One attempt a pause counts; those that were under way with it never began.
            await attempt.ends.give_back([claim])
            return
        # What the upstream would tell of a delivery reaches the sender only where it knows him.
        dsn = conversation.dsn and not attempt.stands_in
        await attempt.ends.settle(claim, outcomes, trial_at=trial_at, dsn=dsn, note=attempt.note)

    def _slow_down(self, in_use: int) -> None:
        pause = self._around.settings.queue.retry_first
        self.pace.slow_down(in_use, self._around.clock(), pause)
        # What waits for a connection by then must not wait for the end of an attempt, which may take long.
        asyncio.get_running_loop().call_later(pause + 0.01, self._begin)

    def _show_connections(self) -> None:
        open_now = self.upstream.connections
        if open_now != self._connections:
            self._connections = open_now
            self._around.journal.upstream_connections(self.upstream.name, open_now)

    async def _react(self, attempt: Attempt, conversation: Conversation, outcomes: Sequence[Outcome]) -> None:
        self.reacting += 1
        try:
            await self._standing.react(conversation, outcomes, trial=attempt.trial)
            if self._standing.closed:
                await self.give_back_backlog()
        finally:
            self.reacting -= 1
        self._begin()

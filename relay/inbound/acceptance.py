"""The moment at which we become responsible: the message is on stable storage, and then it is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from relay.inbound import admission, replies
from relay.journal import Journal
from relay.reply import Reply
from relay.spool.contract import Arrival, Intake, SpoolError


class Acceptance:
    """Puts messages into the spool."""

    def __init__(self, intake: Intake, journal: Journal, timer: Callable[[], float] = time.perf_counter) -> None:
        self._intake = intake
        self._journal = journal
        self._timer = timer
        self._running = 0
        self._none_runs = asyncio.Event()
        self._none_runs.set()

    async def accept(self, arrival: Arrival) -> Reply:
        """Return the reply to the final dot: 250 with the ID only when the message is on stable storage.

        Whoever awaits this must not be cancelled: nobody would know whether the message is ours.
        """
        self._running += 1
        self._none_runs.clear()
        try:
            return await self._put(arrival, self._timer())
        finally:
            self._running -= 1
            if not self._running:
                self._none_runs.set()

    async def settled(self) -> None:
        """Return when no put is running any more."""
        await self._none_runs.wait()

    async def _put(self, arrival: Arrival, started: float) -> Reply:
        try:
            await self._intake.put(arrival)
        except SpoolError as error:
            reply = admission.refuse_for_spool(error)
            if not error.full:
                self._journal.failed("spool.put", error)
        except Exception as error:  # task root: whatever the spool's fault is, the client may try again
            self._journal.failed("spool.put", error)
            reply = replies.OUR_ERROR
        else:
            self._journal.accepted(arrival, self._timer() - started)
            return replies.queued(arrival.id)
        if not isinstance(arrival.content, bytes):
            await arrival.content.discard()
        origin = arrival.origin
        self._journal.refused(origin.listener, "spool", reply, peer=origin.peer, client=origin.client)
        return reply

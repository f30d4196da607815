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
    """Puts messages into the spool. A client that hangs up after the final dot never cancels that."""

    def __init__(self, intake: Intake, journal: Journal, timer: Callable[[], float] = time.perf_counter) -> None:
        self._intake = intake
        self._journal = journal
        self._timer = timer
        self._running: set[asyncio.Task[Reply]] = set()

    async def accept(self, arrival: Arrival) -> Reply:
        """Return the reply to the final dot: 250 with the ID only when the message is on stable storage."""
        task = asyncio.get_running_loop().create_task(self._put(arrival, self._timer()))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def settled(self) -> None:
        """Return when no put is running any more."""
        while self._running:
            await asyncio.wait(self._running)

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

"""The load program: `python -m bench.source PORT`, for what smtp-source cannot do. Prints one line of JSON (`Sent`)."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import uvloop

from bench.conversation import Connection, Plan, Tally, UnexpectedReplyError
from bench.figures import percentile


@dataclass(frozen=True, slots=True)
class Sent:
    """Messages answered with 250; instants of the first connection and the last 250 on the machine's monotonic clock.

    Seconds from the final dot to the 250 (`acceptance`), and from MAIL, or from connecting where each message has a
    connection of its own, to the 250 (`transaction`); the program's own CPU seconds.
    """

    messages: int
    began: float
    ended: float
    acceptance_p50: float
    acceptance_p99: float
    transaction_p50: float
    transaction_p99: float
    cpu: float


async def send(port: int, sessions: int, messages: int, plan: Plan) -> Sent:
    """Send over so many sessions at once. Raises UnexpectedReplyError, OSError."""
    numbers, tally, began = iter(range(messages)), Tally(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(sessions, messages)):
            group.create_task(_session(port, plan, numbers, tally))
    ended = time.monotonic()
    acceptance, transaction = sorted(tally.acceptance), sorted(tally.transaction)
    return Sent(
        messages=len(acceptance),
        began=began,
        ended=ended,
        acceptance_p50=percentile(acceptance, 50),
        acceptance_p99=percentile(acceptance, 99),
        transaction_p50=percentile(transaction, 50),
        transaction_p99=percentile(transaction, 99),
        cpu=time.process_time(),
    )


async def _session(port: int, plan: Plan, numbers: Iterator[int], tally: Tally) -> None:
    if plan.reused:
        await _connection(port, plan, numbers, tally)
        return
    for number in numbers:
        await _connection(port, plan, iter((number,)), tally)


async def _connection(port: int, plan: Plan, numbers: Iterator[int], tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(plan, numbers, tally), "127.0.0.1", port)
    await connection.over


def main() -> None:
    """Send and say what came of it; 1 when the system refused or hung up."""
    arguments = argparse.ArgumentParser(prog="python -m bench.source", description=__doc__)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--sessions", type=int, default=20)
    arguments.add_argument("--messages", type=int, default=1000)
    arguments.add_argument("--size", type=int, default=4096, help="octets")
    arguments.add_argument("--new-connections", action="store_true", help="one message a connection")
    arguments.add_argument("--auth", choices=("PLAIN", "CRAM-MD5"))
    arguments.add_argument("--starttls", action="store_true")
    given = arguments.parse_args()
    plan = Plan(given.size, not given.new_connections, given.auth, given.starttls)
    said: Exception | None = None
    try:
        print(json.dumps(asdict(uvloop.run(send(given.port, given.sessions, given.messages, plan)))))
    except* (UnexpectedReplyError, OSError) as failed:
        said = failed.exceptions[0]
    # Outside: what is raised in there comes out as a group.
    if said is not None:
        sys.exit(f"bench.source: {said}")


if __name__ == "__main__":
    main()

"""Rare work: any function of a transaction, run in the order in which it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from relay.spool.transaction import Transaction
from relay.spool.writer import Writer

_ORDER = 2

Result = TypeVar("Result")
Job = Callable[[Transaction], Result]


def each(transaction: Transaction, jobs: Sequence[Job[Any]]) -> list[Any]:
    """Run the jobs of one group in turn."""
    return [job(transaction) for job in jobs]


async def write(writer: Writer, job: Job[Result], *, lasting: bool = True) -> Result:
    """Run one job in the writer, and return its result once it is on stable storage. Raises SpoolError."""
    return cast("Result", await writer.submit(each, job, _ORDER, lasting=lasting))

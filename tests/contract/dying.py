"""Settles once in each of many processes, killed before its first, second, ... statement, and behind its COMMIT.

`python -m tests.contract.dying FOLDER`: the spools are FOLDER/1, FOLDER/2, ...; the last one's process lived.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from relay.spool.database import Cursor
from relay.spool.store import Spool
from tests.contract.mail import Clock, arrival
from tests.contract.outcomes import mixed

METHODS = ("run", "rows", "begin_rows", "many", "insert", "say")


class Countdown:
    """Calls `stop` before the statement of this number, counted from `begin`, and behind a COMMIT where it is 0."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.left: int | None = None
        self.before = {name: getattr(Cursor, name) for name in METHODS}
        for name in METHODS:
            setattr(Cursor, name, self._counting(name))

    def undo(self) -> None:
        """Count no more."""
        for name, method in self.before.items():
            setattr(Cursor, name, method)

    def _counting(self, name: str) -> Callable[..., object]:
        def counted(cursor: Cursor, *arguments: object) -> object:
            if self.left is not None and self.left > 0:
                self.left -= 1
                if self.left == 0:
                    self.left = None
                    self.stop()
            result = self.before[name](cursor, *arguments)
            if self.left == 0 and arguments == ("COMMIT",):
                self.stop()
            return result

        return counted


async def _settle(state_dir: Path, number: int) -> None:
    spool = await Spool.open("", state_dir, node="node-1", reserve=0)
    clock = Clock()
    await spool.intake.put(arrival(spool.intake.next_id(), clock(), recipients=4, content=b"x" * 3000))
    [claim] = await spool.outgoing.claim("office365", 1, 10)
    notice = arrival(spool.intake.next_id(), clock(), client="notice")
    while spool._writer.unsafe:  # noqa: ASYNC110 - it is the writer that is watched
        # What it writes of its own is not meant.
        await asyncio.sleep(0.01)
    countdown = Countdown(lambda: os.kill(os.getpid(), signal.SIGKILL))
    countdown.left = number
    await spool.outgoing.settle(claim, mixed(claim, clock() + 60_000), [notice])
    countdown.undo()
    await spool.aclose()


def _main(folder: Path) -> None:
    for number in range(100):
        child = os.fork()
        if child == 0:
            (folder / str(number)).mkdir()
            asyncio.run(_settle(folder / str(number), number))
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            return


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

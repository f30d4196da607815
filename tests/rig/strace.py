"""The system calls of a process in their order, by strace."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.rig.peers import command
from tests.rig.waiting import wait_until

_CALLS = "fsync,fdatasync,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg"
_BEGUN = re.compile(r"^(\d+) +(\w+)\(\d+<(.*?)>(.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>.* = (-?\d+)")
_RESULT = re.compile(r" = (-?\d+)[^=]*$")


@dataclass(slots=True)
class Call:
    """One system call on a file or socket. `began` and `ended` are places in the order of all of them.

    `octets` are what was written, as strace shows them: letters and digits as they are.
    """

    name: str
    path: str
    octets: str
    began: int
    ended: int = -1
    result: int = -1


def tracing(trace: Path, longest: int = 5000) -> tuple[str, ...]:
    """The command that runs another one and writes its syncs and writes into `trace`, each up to `longest` octets."""
    # With -D the process started is the one traced, so that signals reach it; its libraries must not be the peers'.
    options = ["-D", "-f", "-y", "-s", str(longest), "-e", f"trace={_CALLS}", "-e", "signal=none"]
    return (command("strace"), *options, "-E", "LD_LIBRARY_PATH", "-o", str(trace))


def calls_in(trace: Path, pid: int) -> list[Call]:
    """The calls, once the process has ended."""
    end = re.compile(rf"^{pid} +\+\+\+ (exited|killed)", re.MULTILINE)
    wait_until(lambda: end.search(trace.read_text()), f"the trace of {pid} to end")
    calls: list[Call] = []
    running: dict[str, Call] = {}
    for place, line in enumerate(trace.read_text().splitlines()):
        begun, resumed = _BEGUN.match(line), _RESUMED.match(line)
        if begun is not None:
            call = Call(begun[2], begun[3], begun[4], place)
            calls.append(call)
            result = _RESULT.search(begun[4])
            if line.endswith("<unfinished ...>"):
                running[begun[1]] = call
            elif result is not None:
                call.ended, call.result = place, int(result[1])
        elif resumed is not None and resumed[1] in running:
            call = running.pop(resumed[1])
            call.ended, call.result = place, int(resumed[2])
    return calls

"""What a disk may hold after a power cut, from the record of what a process wrote and synced.

Kept is what was written before a sync of the file that had ended. Of what was written later, and of later changes to
the folder's names, anything may be there or not: writes in any choice, torn at sectors or pages; names up to any
change, as file systems with a journal keep them.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.rig.peers import command
from tests.rig.waiting import wait_until

_CALLS = "fsync,fdatasync,write,writev,pwrite64,sendto,sendmsg,ftruncate,unlink,rename"
_BEGUN = re.compile(r"^(\d+) +(\d+\.\d+) (\w+)\((.*)$")
_RESUMED = re.compile(r"^(\d+) +\d+\.\d+ <\.\.\. \w+ resumed>(.*)$")
_RESULT = re.compile(r" = (-?\d+)[^=]*$")
_FILE = re.compile(r"\d+<([^>]*)>")
_OCTETS = re.compile(r'"((?:\\x..)*)"')
_TAIL = re.compile(r", (\d+) ?\) += ")
_UNITS = (512, 4096, 1 << 30)
"""Octets that a disk writes whole: a sector, a page, all of one call."""


@dataclass(slots=True)
class Step:
    """One system call: its files, octets and offset (or length), between two places in the order of all calls."""

    call: str
    paths: tuple[str, ...]
    octets: bytes
    offset: int
    at: float
    began: int
    ended: int


@dataclass(slots=True)
class _Inode:
    steps: list[Step] = field(default_factory=list)
    syncs: list[Step] = field(default_factory=list)
    length: int = 0


def recording(trace: Path) -> tuple[str, ...]:
    """The command that runs another one and writes its calls into `trace`, with all they write."""
    options = ["-D", "-f", "-y", "-ttt", "-xx", "-s", "4000000", "-e", f"trace={_CALLS}", "-e", "signal=none"]
    return (command("strace"), *options, "-E", "LD_LIBRARY_PATH", "-o", str(trace))


def steps_in(trace: Path, pid: int) -> list[Step]:
    """The calls that succeeded, once the process has ended, in the order in which they began."""
    end = re.compile(rf"^{pid} +\S+ \+\+\+ (exited|killed)", re.MULTILINE)
    wait_until(lambda: end.search(trace.read_text()), f"the record of {pid} to end")
    running: dict[str, tuple[int, str]] = {}
    steps: list[Step] = []
    for place, line in enumerate(trace.read_text().splitlines()):
        began, whole = place, line
        resumed = _RESUMED.match(line)
        if resumed is not None and resumed[1] in running:
            began, first = running.pop(resumed[1])
            whole = first + resumed[2]
        elif line.endswith("<unfinished ...>"):
            running[line.split(" ", 1)[0]] = (place, line.removesuffix("<unfinished ...>"))
            continue
        step = _step(whole, began, place)
        if step is not None:
            steps.append(step)
    return sorted(steps, key=lambda step: step.began)


def _step(line: str, began: int, ended: int) -> Step | None:
    begun, result = _BEGUN.match(line), _RESULT.search(line)
    if begun is None or result is None or int(result[1]) < 0:
        return None
    call, arguments = begun[3], begun[4]
    strings = [bytes.fromhex(text.replace("\\x", "")) for text in _OCTETS.findall(arguments)]
    file, tail = _FILE.match(arguments), _TAIL.search(arguments)
    if file is None:
        return Step(call, tuple(text.decode() for text in strings), b"", 0, float(begun[2]), began, ended)
    path = bytes.fromhex(file[1].replace("\\x", "")).decode()
    octets = b"".join(strings)
    if call in {"write", "writev", "pwrite64"}:
        octets = octets[: int(result[1])]
    offset = int(tail[1]) if tail is not None and call in {"pwrite64", "ftruncate"} else -1
    return Step(call, (path,), octets, offset, float(begun[2]), began, ended)


class Disk:
    """The files of one folder, empty at first, through a record."""

    def __init__(self, folder: Path, steps: list[Step]) -> None:
        self._names: list[tuple[int, dict[str, _Inode]]] = [(-1, {})]
        self._syncs: list[Step] = []
        self.places: list[int] = []
        for step in steps:
            if step.paths[0] == str(folder):
                self._syncs.append(step)
            elif all(Path(path).parent == folder for path in step.paths):
                self._take(step, [Path(path).name for path in step.paths])
            else:
                continue
            self.places += [step.began + 1, step.ended + 1]

    def _take(self, step: Step, names: list[str]) -> None:
        now = dict(self._names[-1][1])
        if step.call in {"unlink", "rename"}:
            inode = now.pop(names[0], None)
            if step.call == "rename" and inode is not None:
                now[names[1]] = inode
            self._names.append((step.began, now))
            return
        if names[0] not in now:
            now[names[0]] = _Inode()
            self._names.append((step.began, now))
        inode = now[names[0]]
        if step.call in {"fsync", "fdatasync"}:
            inode.syncs.append(step)
            return
        if step.call == "write":
            step.offset, inode.length = inode.length, inode.length + len(step.octets)
        inode.steps.append(step)

    def after_a_cut(self, place: int, chance: Random) -> dict[str, bytes]:
        """The files that may be there, by name, where the power went at a place in the order of all calls."""
        synced = max((sync.began for sync in self._syncs if sync.ended < place), default=-1)
        sure = max(number for number, (began, _) in enumerate(self._names) if began <= synced)
        last = max(number for number, (began, _) in enumerate(self._names) if began < place)
        names = self._names[chance.randint(sure, last)][1]
        share, unit = chance.choice((0.0, 0.5, 0.9, 1.0)), chance.choice(_UNITS)
        return {name: _content(inode, place, share, unit, chance) for name, inode in names.items()}


def _content(inode: _Inode, place: int, share: float, unit: int, chance: Random) -> bytes:
    synced = max((sync.began for sync in inode.syncs if sync.ended < place), default=-1)
    octets = bytearray()
    for step in inode.steps:
        if step.began >= place:
            break
        sure = step.ended < synced
        if step.call == "ftruncate":
            if sure or chance.random() < share:
                del octets[step.offset :]
                octets.extend(bytes(step.offset - len(octets)))
            continue
        for start in range(0, len(step.octets), unit):
            if sure or chance.random() < share:
                piece, at = step.octets[start : start + unit], step.offset + start
                octets.extend(bytes(max(0, at - len(octets))))
                octets[at : at + len(piece)] = piece
    return bytes(octets)

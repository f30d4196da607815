"""A disk of a few MiB that a test may fill, or make read-only under a relay that runs.

It is a tmpfs in a mount namespace of its own, which ends with it. Where nobody may mount anything, not even in a user
namespace, it is a folder, and the relay is made to believe in its size (`pretence.py`).
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rig import pretence

_MOUNT = 'mount -t tmpfs -o "$1" none "$2" && echo mounted && exec cat'
_FOREVER = resource.RLIM_INFINITY


@cache
def namespace() -> tuple[str, ...] | None:
    """The command by which another one gets a mount namespace in which it may mount; None where nobody lets us.

    As root one of the machine's; else one of a user namespace, where the machine lets its users have them.
    """
    for command in (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user")):
        trial = ["sh", "-c", "command -v nsenter && mount -t tmpfs none /tmp"]
        try:
            if subprocess.run([*command, *trial], capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            return None
    return None


class SmallDisk:
    """`size` octets and `inodes` files (0: as many as there is room for) at `folder`.

    `under` runs a relay on it, `seen` is the folder as the test sees it.
    """

    def __init__(self, folder: Path, size: int, inodes: int = 0) -> None:
        self.folder = folder
        self.size = size
        self._options = f"size={size},nr_inodes={inodes},mode=0700"
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, mode=0o700)
        command = namespace()
        if command is None:
            return self
        self._holder = subprocess.Popen(
            [*command, "sh", "-c", _MOUNT, "sh", self._options, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        assert said == b"mounted\n", said
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._holder is not None:
            self._holder.communicate(timeout=10)

    @property
    def _inside(self) -> Sequence[str]:
        """The command that runs another one where the disk is."""
        if self._holder is None:
            return ()
        own = os.readlink("/proc/self/ns/user") == os.readlink(f"/proc/{self._holder.pid}/ns/user")
        user = () if own else ("--user", "--preserve-credentials")
        return ("nsenter", f"--target={self._holder.pid}", *user, "--mount")

    @property
    def under(self) -> Sequence[str]:
        """The command that runs a relay on the disk."""
        size = 0 if self._holder is not None else self.size
        # Without -P relay.py beside the file would be taken for the relay.
        return (*self._inside, sys.executable, "-P", pretence.__file__, str(self.folder), str(size))

    @property
    def seen(self) -> Path:
        """The folder, from outside."""
        return Path(f"/proc/{self._holder.pid}/root{self.folder}") if self._holder is not None else self.folder

    def free(self) -> int:
        """Octets left."""
        if self._holder is None:
            return pretence.free(self.folder, self.size)
        system = os.statvfs(self.seen)
        return system.f_bavail * system.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Let another program's file take all but `leave` octets."""
        with (self.seen / "ballast").open("ab", buffering=0) as file:
            if self._holder is None:
                # What the spool gives back meanwhile is as good as taken by others, too.
                file.truncate(self.size - leave)
                return
            file.truncate(0)
            while (left := self.free() - leave) > 0:
                file.write(bytes(min(left, 1 << 20)))

    def clear(self) -> None:
        """Take that file away."""
        (self.seen / "ballast").unlink()

    def fill_inodes(self) -> None:
        """Let other programs' files take all there may be."""
        if self._holder is None:
            return
        try:
            for number in range(10_000):
                (self.seen / f"small-{number}").touch()
        except OSError:
            return
        raise AssertionError("no end of inodes")

    @contextmanager
    def read_only(self, pid: int, provoke: Callable[[], object]) -> Iterator[None]:
        """Nothing on it can be opened for writing. The process has its files open already; `provoke` makes it write.

        A kernel that finds a disk broken fails all later writes. Nobody can ask it to, so that the write fails by the
        limit of a file's size, and what is opened anew after it finds a mount that is read-only.
        """
        if self._holder is None:
            (self.folder / pretence.READ_ONLY).touch()
        else:
            self._mount("--bind", str(self.folder), str(self.folder))
            self._mount("-o", "remount,bind,ro", str(self.folder))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, _FOREVER))
        provoke()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_FOREVER, _FOREVER))
        yield
        if self._holder is None:
            (self.folder / pretence.READ_ONLY).unlink()
        else:
            self._mount("-o", "remount,bind,rw", str(self.folder))

    def _mount(self, *arguments: str) -> None:
        subprocess.run([*self._inside, "mount", *arguments], capture_output=True, check=True)

"""A disk of a few MiB that a test may fill: a tmpfs in a mount namespace of its own, which ends with it."""

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

_SAY = 'mount -t tmpfs -o "$1" none "$2" && echo mounted && exec cat'


@cache
def namespace() -> tuple[str, ...] | None:
    """The command by which another one gets a mount namespace in which it may mount; None where nobody lets us.

    As root one of the machine's; else one of a user namespace, where the machine lets its users have them.
    """
    for command in (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user")):
        trial = ["sh", "-c", "mount -t tmpfs none /mnt"]
        if subprocess.run([*command, *trial], capture_output=True, check=False).returncode == 0:
            return command
    return None


class SmallDisk:
    """`size` octets and `inodes` files at `folder`, seen by what runs `inside` only; `seen` is the same from here."""

    def __init__(self, folder: Path, size: int, inodes: int = 0) -> None:
        self.folder = folder
        self.size = size
        self._options = f"size={size},nr_inodes={inodes},mode=0700"
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = namespace()
        assert command is not None, "nothing can be mounted here"
        self.folder.mkdir(parents=True)
        self._holder = subprocess.Popen(
            [*command, "sh", "-c", _SAY, "sh", self._options, str(self.folder)],
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
        assert self._holder is not None
        self._holder.communicate(timeout=10)

    @property
    def inside(self) -> Sequence[str]:
        """The command that runs another one where the disk is."""
        assert self._holder is not None
        own = os.readlink("/proc/self/ns/user") == os.readlink(f"/proc/{self._holder.pid}/ns/user")
        user = () if own else ("--user", "--preserve-credentials")
        return ("nsenter", f"--target={self._holder.pid}", *user, "--mount")

    @property
    def seen(self) -> Path:
        """The folder, from outside."""
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    def run(self, *command: str) -> None:
        """Run a command where the disk is."""
        subprocess.run([*self.inside, *command], capture_output=True, check=True)

    def free(self) -> int:
        """Octets left."""
        system = os.statvfs(self.seen)
        return system.f_bavail * system.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Let another program's file take all but `leave` octets."""
        with (self.seen / "ballast").open("ab", buffering=0) as file:
            file.truncate(0)
            while (left := self.free() - leave) > 0:
                file.write(bytes(min(left, 1 << 20)))

    def clear(self) -> None:
        """Take that file away."""
        (self.seen / "ballast").unlink()

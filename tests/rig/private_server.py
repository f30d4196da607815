"""A server from .peers as a child process, in a folder of its own that the accounts it runs under can reach."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rig.peers import peer_environment
from tests.rig.waiting import wait_until

ROOT = os.geteuid() == 0


def account(preferred: str) -> str:
    """The account that a part of a server runs under: an existing system account under root, else our own."""
    return preferred if ROOT else pwd.getpwuid(os.geteuid()).pw_name


class PrivateServer:
    """Base of the rig's servers: folder, start, stop. `command` and `port` come from the subclass."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Not pytest's tmp_path: under root that is closed to the accounts that servers change to.
        self.folder = Path(tempfile.mkdtemp(prefix=f"relay-{name}-"))
        self.folder.chmod(0o755)
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def prepare(self) -> None:
        """Writes what the server reads at start."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What starts the server in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What it finds in its environment besides what every unpacked program does."""
        return {}

    @property
    def log(self) -> str:
        """What the server said, for the message of a failing test."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def start(self) -> None:
        """Starts it and returns once it takes connections on `port`."""
        self.prepare()
        with (self.folder / "output.log").open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env={**peer_environment(), "HOME": str(self.folder), **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(self._answers, f"{self.name} to take connections")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.log[-3000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 2).close()
        except OSError:
            return False
        return True

    def restart(self) -> None:
        """Starts it anew on the same port, with settings written anew; the log goes on."""
        self._end()
        for left in self.folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.suffix != ".log":
                left.unlink()
        self.start()

    def stop(self) -> None:
        """Ends it and removes its folder."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
            # Sessions under way may outlive the server.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

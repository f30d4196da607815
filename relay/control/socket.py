"""state_dir/control.sock: one JSON object a line to ask, one to answer. Only the folder's owner can open it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Commands only ask; the journal brings logs and metrics along.
    from relay.journal import Journal

_LONGEST_REQUEST = 64 * 1024
_NAME = "control.sock"

Answering = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Command and arguments in, a JSON value out; raises RefusedError for what the asker did wrong."""


class RefusedError(Exception):
    """A request can't be met: an unknown ID, a name that does not exist. The text is shown to the operator."""


class ControlServer:
    """Answers on the socket until it is closed."""

    def __init__(self, state_dir: Path, answer: Answering, journal: Journal) -> None:
        self._path = state_dir / _NAME
        self._answer = answer
        self._journal = journal
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; a socket that a killed process left is taken over, since relay.lock is ours. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with _short_path(self._path) as name:
                listening.bind(name)
        except OSError:
            listening.close()
            raise
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._converse, sock=listening, limit=_LONGEST_REQUEST)

    async def aclose(self) -> None:
        """Stop listening and end what still talks."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Where the disk is read-only it stays, and the next start takes it over.
        with contextlib.suppress(OSError):
            self._path.unlink()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError, ValueError, asyncio.CancelledError):
            while line := await reader.readline():
                writer.write(json.dumps(await self._reply_to(line), ensure_ascii=False).encode("utf-8") + b"\n")
                await writer.drain()
        writer.close()

    async def _reply_to(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return {"answer": await self._answer(str(request["command"]), request.get("arguments") or {})}
        except RefusedError as refusal:
            return {"problem": str(refusal)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._journal.failed("control", error)
            return {"problem": "the request was not understood; are the command and the running relay of one version?"}
        except Exception as error:  # a task root: one request must not end the socket
            self._journal.failed("control", error)
            return {"problem": "the running relay could not answer; its log says why"}


class ControlConnection:
    """The asking side, for a command: synchronous."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._file = connected.makefile("rb")

    def __enter__(self) -> ControlConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """Return the answer. Raises RefusedError, and OSError where the relay ended meanwhile."""
        request = json.dumps({"command": command, "arguments": arguments}, ensure_ascii=False)
        self._socket.sendall(request.encode("utf-8") + b"\n")
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the running relay ended before it answered")
        reply = json.loads(line)
        if "problem" in reply:
            raise RefusedError(reply["problem"])
        return reply["answer"]


def connect(state_dir: Path, timeout: float = 30.0) -> ControlConnection | None:
    """Reach the running `serve`; None where none runs. Raises PermissionError where it is not ours to ask."""
    path = state_dir / _NAME
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    reached = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    reached.settimeout(timeout)
    try:
        with _short_path(path) as name:
            reached.connect(name)
    except OSError as error:
        reached.close()
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            return None
        raise
    return ControlConnection(reached)


@contextlib.contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """Give a name of at most 107 octets, which is all that a socket's address holds."""
    if len(os.fsencode(path)) <= 107:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)

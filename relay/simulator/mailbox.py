"""What the simulated providers have received, with everything said about it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

IN_MEMORY = 1024 * 1024
"""Octets up to which a message is kept in memory; above, in a file."""

ALL_IN_MEMORY = 64 * 1024 * 1024
"""Octets of all messages together from which on even small ones go into files."""


class ContentSink:
    """Takes content piece by piece: in memory up to `in_memory` octets, then in a file under `directory`."""

    _numbers = itertools.count(1)

    def __init__(self, directory: Path, in_memory: int = IN_MEMORY) -> None:
        self._directory = directory
        self._in_memory = in_memory
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        self.size += len(piece)
        self._digest.update(piece)
        if self._file is not None:
            self._file.write(piece)
            return
        self._pieces.append(piece)
        if self.size > self._in_memory:
            self._path = self._directory / f"message-{next(self._numbers)}"
            self._file = self._path.open("xb")
            self._file.write(b"".join(self._pieces))
            self._pieces.clear()

    def discard(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
        self._file = self._path = None

    def finish(self) -> StoredContent:
        """Return what was written."""
        if self._file is not None:
            self._file.close()
        return StoredContent(self.size, self._digest.hexdigest(), b"".join(self._pieces), self._path)

    def head(self, limit: int) -> bytes:
        """Return the first `limit` octets."""
        if self._file is None or self._path is None:
            return b"".join(self._pieces)[:limit]
        self._file.flush()
        with self._path.open("rb") as file:
            return file.read(limit)


@dataclass(frozen=True, slots=True)
class StoredContent:
    """Content as received, dots unstuffed; `sha256` in hexadecimal."""

    size: int
    sha256: str
    octets: bytes
    path: Path | None

    def read(self) -> bytes:
        """Return all of it; empty once it has been forgotten."""
        if self.path is None:
            return self.octets
        with contextlib.suppress(FileNotFoundError):
            return self.path.read_bytes()
        return b""

    def pieces(self, size: int = 256 * 1024) -> Iterator[bytes]:
        """Give it piece by piece."""
        if self.path is None:
            yield self.octets
            return
        with self.path.open("rb") as file:
            while piece := file.read(size):
                yield piece


@dataclass(frozen=True, slots=True)
class ReceivedRecipient:
    """A forward-path as said, with RCPT's parameters (`NOTIFY`, `ORCPT`), values as said."""

    forward_path: str
    parameters: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One accepted message.

    `provider` is microsoft365, gmail or ses; `login` who was signed in; `reverse_path` empty for `<>`;
    `mail_parameters` keywords in upper case; `received_at` in milliseconds since the epoch; `id` what the final reply
    named; `answered` False where the client was left without the final reply.
    """

    id: str
    provider: str
    login: str
    helo: str
    peer: str
    tls: str | None
    reverse_path: str
    mail_parameters: Mapping[str, str | None]
    recipients: tuple[ReceivedRecipient, ...]
    stored: StoredContent
    longest_line: int
    received_at: int
    answered: bool = True

    @property
    def forward_paths(self) -> tuple[str, ...]:
        """The recipients' addresses in order."""
        return tuple(recipient.forward_path for recipient in self.recipients)

    @property
    def size(self) -> int:
        """Octets of content."""
        return self.stored.size

    @property
    def content(self) -> bytes:
        """Header and body as received, dots unstuffed."""
        return self.stored.read()


class ReceivedMessages:
    """The messages in the order they came, the oldest forgotten beyond the bounds; one can wait for more."""

    def __init__(self, keep_messages: int, keep_octets: int) -> None:
        self._keep_messages = keep_messages
        self._keep_octets = keep_octets
        self._messages: deque[ReceivedMessage] = deque()
        self._octets = 0
        self._octets_in_memory = 0
        self._waiters: set[tuple[Callable[[], bool], asyncio.Future[None]]] = set()
        self.listeners: list[Callable[[ReceivedMessage], None]] = []
        self.total = 0
        self.recipients_total = 0

    def sink(self, directory: Path) -> ContentSink:
        """Return where the content of the next message goes: a file, once much is in memory already."""
        return ContentSink(directory, IN_MEMORY if self._octets_in_memory < ALL_IN_MEMORY else 0)

    def add(self, message: ReceivedMessage) -> None:
        """Remember a message."""
        self._messages.append(message)
        self._octets += message.size
        self._octets_in_memory += len(message.stored.octets)
        self.total += 1
        self.recipients_total += len(message.recipients)
        while self._messages and (len(self._messages) > self._keep_messages or self._octets > self._keep_octets):
            self._forget(self._messages.popleft())
        for listener in self.listeners:
            listener(message)
        for waiter in tuple(self._waiters):
            enough, future = waiter
            if not future.done() and enough():
                future.set_result(None)

    def all(self) -> list[ReceivedMessage]:
        """Return what is remembered, oldest first."""
        return list(self._messages)

    def clear(self) -> None:
        """Forget every message, and count from nought again."""
        while self._messages:
            self._forget(self._messages.popleft())
        self.total = self.recipients_total = 0

    async def wait_until(self, enough: Callable[[], bool], timeout: float) -> None:
        """Return when `enough` holds after a message has come; raises `TimeoutError` after `timeout` seconds."""
        if enough():
            return
        waiter = (enough, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        try:
            await asyncio.wait_for(waiter[1], timeout)
        finally:
            self._waiters.discard(waiter)

    def _forget(self, message: ReceivedMessage) -> None:
        self._octets -= message.size
        self._octets_in_memory -= len(message.stored.octets)
        if message.stored.path is not None:
            message.stored.path.unlink(missing_ok=True)

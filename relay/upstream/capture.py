"""The upstream that keeps mail for looking at instead of sending it: a maildir in state_dir/capture/NAME.

`new/` has the messages byte for byte, `envelope/` a JSON file of the same name for each, with what was said of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from relay.envelope import Content, Envelope
from relay.folder import keep_names
from relay.reply import Reply, reply
from relay.upstream.contract import Cause, Clearance, Conversation, Phase
from relay.upstream.failures import reply_for

FOLDERS = ("tmp", "new", "cur", "envelope")

PURGE_EVERY = 3600.0
"""Seconds between two looks for mail that has been kept long enough."""

_OK = reply(250, "2.1.5", "Recipient ok")
_numbers = itertools.count(1)


@dataclass(slots=True)
class Capture:
    """One maildir. `keep` seconds until a message is removed; `purged_at` on the monotonic clock, the last look."""

    name: str
    directory: Path
    keep: float
    connections: int = 0
    purged_at: float = field(default=float("-inf"))

    async def send(self, envelope: Envelope, content: Content, clearance: Clearance) -> Conversation:
        """Keep one message; it is on stable storage when this returns."""
        recipients: tuple[Reply | None, ...] = (None,) * len(envelope.recipients)
        await clearance.before_mail()
        self.connections += 1
        unique = _unique_name()
        try:
            await asyncio.to_thread(self._prepare)
            given_up = await self._write(unique, content, clearance)
            if given_up is not None:
                said = reply_for(given_up, Phase.CONTENT, self.name)
                return Conversation(Phase.CONTENT, recipients, said, given_up)
            await asyncio.to_thread(self._publish, unique, _described(envelope, content))
        except OSError as error:
            return Conversation(Phase.CONTENT, recipients, self._unwritable(error))
        finally:
            self.connections -= 1
        return Conversation(Phase.DONE, (_OK,) * len(recipients), reply(250, "2.0.0", f"Kept as {unique}"))

    async def probe(self) -> Conversation:
        """Tell whether the maildir can be written to."""
        try:
            await asyncio.to_thread(self._prepare)
        except OSError as error:
            return Conversation(Phase.CONNECT, (), self._unwritable(error), Cause.UNREACHABLE)
        return Conversation(Phase.DONE, (), reply(250, "2.0.0", "Ok"))

    async def retire(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""

    def _unwritable(self, error: OSError) -> Reply:
        return reply(452, "4.3.1", f"{self.directory}: {error.strerror or 'cannot be written'}")

    def _prepare(self) -> None:
        if not self.directory.parent.exists():
            self.directory.parent.mkdir(mode=0o700, parents=True)
        for folder in ("", *FOLDERS):
            (self.directory / folder).mkdir(mode=0o700, exist_ok=True)
        if time.monotonic() - self.purged_at >= PURGE_EVERY:
            self.purged_at = time.monotonic()
            self._purge(time.time() - self.keep)

    def _purge(self, before: float) -> None:
        for folder in FOLDERS:
            for entry in os.scandir(self.directory / folder):
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                    Path(entry.path).unlink(missing_ok=True)

    async def _write(self, unique: str, content: Content, clearance: Clearance) -> Cause | None:
        """Write the content into tmp/; return why it was given up, and then nothing of it is left."""
        draft = self.directory / "tmp" / unique
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        complete = False
        try:
            async for chunk in content.chunks():
                await asyncio.to_thread(_write_all, descriptor, chunk)
            if not clearance.before_final_dot():
                return Cause.LEASE_LOST
            await asyncio.to_thread(os.fsync, descriptor)
            complete = True
        except OSError:
            raise
        except Exception:
            # The content is somebody else's, who may fail in any way.
            return Cause.CONTENT_UNREADABLE
        finally:
            os.close(descriptor)
            if not complete:
                draft.unlink(missing_ok=True)
        return None

    def _publish(self, unique: str, described: bytes) -> None:
        sidecar = self.directory / "envelope" / f"{unique}.json"
        descriptor = os.open(sidecar, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, described)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        (self.directory / "tmp" / unique).rename(self.directory / "new" / unique)
        for folder in ("envelope", "new"):
            keep_names(self.directory / folder)


def _unique_name() -> str:
    instant = time.time_ns()
    host = os.uname().nodename.replace("/", "_").replace(":", "_")
    return f"{instant // 10**9}.M{instant % 10**9 // 1000:06}P{os.getpid()}Q{next(_numbers)}.{host}"


def _write_all(descriptor: int, octets: bytes) -> None:
    whole = memoryview(octets)
    while whole:
        whole = whole[os.write(descriptor, whole) :]


def _described(envelope: Envelope, content: Content) -> bytes:
    rows = [
        {
            "forward_path": str(row.forward_path),
            "notify": str(row.notify) if row.notify is not None else None,
            "original": row.original,
        }
        for row in envelope.recipients
    ]
    said = {
        "reverse_path": str(envelope.reverse_path or ""),
        "recipients": rows,
        "body": envelope.body.value,
        "smtputf8": envelope.smtputf8,
        "envelope_id": envelope.envelope_id,
        "dsn_return": envelope.dsn_return.value if envelope.dsn_return else None,
        "size": content.size,
        "kept_at": time.time_ns() // 1_000_000,
    }
    return json.dumps(said, ensure_ascii=False, indent=1).encode("utf-8")

"""The upstream that keeps mail instead of sending it."""

import json
import os
import time
from pathlib import Path

import pytest

from relay.envelope import Envelope, Notify, Recipient
from relay.upstream.capture import PURGE_EVERY, Capture
from relay.upstream.contract import Cause, Phase
from tests.upstream.offering import MESSAGE, Cleared, envelope, mailbox
from tests.upstream.test_content import CHUNK, Stream


def files(directory: Path, folder: str) -> list[Path]:
    return sorted((directory / folder).iterdir())


async def test_a_message_is_kept_with_its_envelope(tmp_path: Path) -> None:
    capture = Capture("sandbox", tmp_path / "capture" / "sandbox", 60.0)
    offered = Envelope(None, (Recipient(mailbox("a@example.test"), Notify.NEVER, "rfc822;a@example.test"),))
    cleared = Cleared()
    said = await capture.send(offered, MESSAGE, cleared)
    assert (said.phase, said.reply and said.reply.code, cleared.mails, cleared.dots) == (Phase.DONE, 250, 1, 1)
    assert [reply.code for reply in said.recipients if reply] == [250]
    [message] = files(capture.directory, "new")
    [sidecar] = files(capture.directory, "envelope")
    assert message.read_bytes() == MESSAGE.octets
    assert sidecar.name == f"{message.name}.json"
    kept = json.loads(sidecar.read_text("utf-8"))
    assert kept["reverse_path"] == ""
    assert kept["recipients"] == [
        {"forward_path": "a@example.test", "notify": "NEVER", "original": "rfc822;a@example.test"}
    ]
    assert oct(message.stat().st_mode & 0o777) == "0o600"
    assert oct(capture.directory.stat().st_mode & 0o777) == "0o700"
    assert files(capture.directory, "tmp") == []
    assert capture.connections == 0


async def test_names_never_meet(tmp_path: Path) -> None:
    capture = Capture("sandbox", tmp_path, 60.0)
    for _ in range(50):
        await capture.send(envelope(), MESSAGE, Cleared())
    assert len(files(tmp_path, "new")) == len(files(tmp_path, "envelope")) == 50


async def test_a_large_message_streams(tmp_path: Path) -> None:
    capture = Capture("sandbox", tmp_path, 60.0)
    assert (await capture.send(envelope(), Stream(20), Cleared())).phase is Phase.DONE
    [message] = files(tmp_path, "new")
    assert message.stat().st_size == 20 * len(CHUNK)


@pytest.mark.parametrize("what", ["lease", "content"])
async def test_what_is_given_up_leaves_nothing(tmp_path: Path, what: str) -> None:
    def fail(at: int) -> None:
        if what == "content" and at == 2:
            raise LookupError

    capture = Capture("sandbox", tmp_path, 60.0)
    said = await capture.send(envelope(), Stream(4, fail), Cleared(lease=what != "lease"))
    cause = Cause.LEASE_LOST if what == "lease" else Cause.CONTENT_UNREADABLE
    assert (said.phase, said.cause, said.ambiguous) == (Phase.CONTENT, cause, False)
    assert not any(files(tmp_path, folder) for folder in ("tmp", "new", "envelope"))


async def test_what_was_kept_long_enough_goes(tmp_path: Path) -> None:
    capture = Capture("sandbox", tmp_path, 100.0)
    await capture.send(envelope(), MESSAGE, Cleared())
    [old], [sidecar] = files(tmp_path, "new"), files(tmp_path, "envelope")
    seen = tmp_path / "cur" / f"{old.name}:2,S"
    old.rename(seen)
    for path in (seen, sidecar):
        os.utime(path, (time.time() - 101, time.time() - 101))
    capture.purged_at -= PURGE_EVERY + 1
    await capture.send(envelope(), MESSAGE, Cleared())
    assert files(tmp_path, "cur") == []
    assert len(files(tmp_path, "new")) == len(files(tmp_path, "envelope")) == 1


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    capture = Capture("sandbox", tmp_path / "file" / "sandbox", 60.0)
    said = await capture.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.reply and str(said.reply)[:9], said.ambiguous) == (Phase.CONTENT, "452 4.3.1", False)
    assert (await capture.probe()).phase is Phase.CONNECT
    capture = Capture("sandbox", tmp_path / "sandbox", 60.0)
    assert (await capture.probe()).phase is Phase.DONE
    await capture.aclose()

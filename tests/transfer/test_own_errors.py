"""An error of our own in the middle costs the message that it concerns a delay, and no other anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.spool.records import SpooledMessage
from relay.transfer.faces import Faces
from relay.transfer.rewriting import Face
from tests.transfer.actor import Actor
from tests.transfer.stage import Stage, settings_of, until


async def test_an_error_with_the_next_message_makes_none_uncertain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = Actor("isp")
    actor.go.clear()
    actor.waits_after_dot = True
    face_of = Faces.face_of
    failing: set[str] = set()

    def sometimes(self: Faces, message: SpooledMessage, upstream: str) -> Face | None:
        if message.id in failing:
            failing.discard(message.id)
            raise KeyError(message.id)
        return face_of(self, message, upstream)

    monkeypatch.setattr(Faces, "face_of", sometimes)
    settings = settings_of(tmp_path, {"isp": {"type": "smtp", "host": "mx.provider.test", "max_connections": 1}})
    async with Stage(tmp_path, settings, actor) as stage:
        first = await stage.put("a@far.test")
        await until(lambda: actor.offers, "the first to be on its way")
        failing.add(await stage.put("b@far.test"))
        await until(lambda: stage.dispatcher._lanes["isp"].attempts.backlog, "the second to wait for the connection")
        actor.go.set()
        await stage.settled(first, "relayed")
        assert "uncertain" not in await stage.events(first)
    assert [offer.envelope.recipients[0].forward_path.local_part for offer in actor.offers].count("a") == 1

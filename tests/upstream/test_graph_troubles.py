"""Microsoft Graph, as the simulator plays it: refusals, interruptions and limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.envelope import Content, WholeContent
from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from tests.upstream.graph_mail import with_attachment, written
from tests.upstream.graph_mailbox import Mailbox, upstream_to
from tests.upstream.offering import Cleared, envelope

FAULTS: list[tuple[str, Phase, str, float]] = [
    ("graph_access_denied", Phase.AUTH, "535 5.7.1 HTTP 403 ErrorAccessDenied", 0.0),
    ("graph_token_refused", Phase.AUTH, "535 5.7.8 HTTP 401 InvalidAuthenticationToken", 0.0),
    ("graph_send_as_denied", Phase.DONE, "554 5.2.0 HTTP 403 ErrorSendAsDenied", 0.0),
    ("graph_invalid_user", Phase.AUTH, "550 5.2.1 HTTP 404 ErrorInvalidUser", 0.0),
    ("graph_throttled", Phase.MAIL, "451 4.3.2 HTTP 429 ApplicationThrottled", 2.0),
    ("graph_unavailable", Phase.MAIL, "451 4.3.2 HTTP 503 ErrorServerBusy", 2.0),
    ("graph_internal_error", Phase.DONE, "451 4.3.0 HTTP 500 ErrorInternalServerError", 0.0),
    ("graph_mime_invalid", Phase.DONE, "554 5.6.0 HTTP 400 ErrorMimeContentInvalid", 0.0),
]


@pytest.mark.parametrize(("fault", "phase", "text", "pause"), FAULTS)
async def test_refusals(mailbox: Mailbox, fault: str, phase: Phase, text: str, pause: float) -> None:
    mailbox.simulator.faults.set(fault)
    conversation = await mailbox.sent(written())
    assert (conversation.phase, conversation.pause) == (phase, pause)
    assert str(conversation.reply).startswith(text)
    assert mailbox.simulator.messages == []


async def test_a_refused_token_is_replaced_once(mailbox: Mailbox) -> None:
    await mailbox.arrived(written())
    mailbox.simulator.tokens.expire()
    await mailbox.arrived(written())
    assert mailbox.requests() == [("sendmail", 202), ("sendmail", 401), ("sendmail", 202)]
    assert mailbox.simulator.token_requests == 2


@pytest.mark.parametrize(
    ("fault", "large"),
    [
        ("graph_no_answer", False),
        ("graph_no_answer", True),
        ("graph_no_answer_not_stored", False),
        ("graph_gateway_timeout", True),
    ],
)
async def test_no_answer_to_the_request_that_sends(mailbox: Mailbox, fault: str, large: bool) -> None:
    mailbox.simulator.faults.set(fault, stage="send" if large else "sendmail", times=1)
    message = with_attachment(written(), 3_200_000) if large else written()
    conversation = await mailbox.sent(message)
    assert conversation.ambiguous
    assert conversation.phase is Phase.FINAL_DOT
    assert len(mailbox.simulator.messages) == (fault == "graph_no_answer")
    assert [endpoint for endpoint, _ in mailbox.requests()].count("delete") == 0


async def test_graph_is_left_alone_as_long_as_it_says(mailbox: Mailbox) -> None:
    mailbox.simulator.faults.set("graph_throttled", times=1)
    await mailbox.sent(written())
    again = await mailbox.sent(written())
    assert 1.0 < again.pause <= 2.0
    assert (await mailbox.upstream.probe()).pause > 0
    assert mailbox.requests() == [("sendmail", 429)]
    await asyncio.sleep(again.pause)
    await mailbox.arrived(written())


async def test_a_throttled_upload_goes_on_where_it_was(mailbox: Mailbox) -> None:
    mailbox.simulator.faults.set("graph_upload_throttled", times=1, skip=0)
    message = with_attachment(written(), 3_400_000)
    await mailbox.carries(message)
    uploads = [request for request in mailbox.simulator.graph.requests if request.endpoint == "upload"]
    assert [request.status for request in uploads] == [429, 200, 201]
    assert uploads[1].at - uploads[0].at >= 1.0


async def test_a_broken_upload_goes_on_or_leaves_no_draft(mailbox: Mailbox) -> None:
    message = with_attachment(written(), 3_400_000)
    mailbox.simulator.faults.set("graph_upload_broken", times=1, skip=1)
    await mailbox.carries(message)
    mailbox.simulator.faults.set("graph_upload_broken")
    conversation = await mailbox.sent(message)
    assert (conversation.phase, conversation.cause) == (Phase.CONTENT, Cause.DISCONNECTED)
    await mailbox.upstream.aclose()
    assert mailbox.simulator.graph.drafts.all == {}


async def test_a_session_refused_as_too_small(mailbox: Mailbox) -> None:
    mailbox.simulator.faults.set("graph_session_too_small", times=1)
    message = with_attachment(written(), 3_050_000)
    await mailbox.carries(message)
    assert mailbox.requests()[1:3] == [("session", 400), ("attachment", 201)]


async def test_a_request_that_is_too_large_after_all(mailbox: Mailbox) -> None:
    mailbox.simulator.faults.set("graph_too_large", times=1)
    message = with_attachment(written(), 2_000_000)
    await mailbox.carries(message)
    assert mailbox.requests() == [("sendmail", 413), ("draft", 201), ("attachment", 201), ("send", 202)]


async def test_a_lost_lease_before_the_end(mailbox: Mailbox) -> None:
    for message in (written(), with_attachment(written(), 3_200_000)):
        conversation = await mailbox.sent(message, cleared=Cleared(lease=False))
        assert conversation.cause is Cause.LEASE_LOST
    await mailbox.upstream.aclose()
    assert mailbox.simulator.messages == []
    assert mailbox.simulator.graph.drafts.all == {}


async def test_no_more_at_once_than_four(mailbox: Mailbox) -> None:
    mailbox.simulator.faults.set("slow", provider="graph", stage="sendmail", seconds=0.5)
    await asyncio.gather(*(mailbox.arrived(written()) for _ in range(12)))
    assert mailbox.simulator.graph.most_at_once == {mailbox.simulator.mailbox: 4}
    assert mailbox.simulator.token_requests == 1


async def test_content_that_cannot_be_read(mailbox: Mailbox) -> None:
    class Broken(WholeContent):
        async def chunks(self) -> AsyncIterator[bytes]:
            yield self.octets[:40]
            raise OSError("disk")

    broken: Content = Broken(bytes(written()))
    conversation = await mailbox.upstream.send(envelope("a@b.test"), broken, Cleared())
    assert conversation.cause is Cause.CONTENT_UNREADABLE
    assert mailbox.requests() == []


async def test_a_message_above_the_limit_is_refused_before_anything(mailbox: Mailbox) -> None:
    class Huge(WholeContent):
        @property
        def size(self) -> int:
            return 158_000_000

    conversation = await mailbox.upstream.send(envelope("a@b.test"), Huge(b"x"), Cleared())
    assert conversation.cause is Cause.TOO_LARGE


async def test_cancelled_in_the_middle_of_an_upload(mailbox: Mailbox) -> None:
    mailbox.simulator.faults.set("slow", provider="graph", stage="upload", seconds=30.0)
    task = asyncio.create_task(mailbox.sent(with_attachment(written(), 3_200_000)))
    await asyncio.wait_for(_begun(mailbox.simulator), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await mailbox.upstream.aclose()
    assert mailbox.simulator.graph.drafts.all == {}


async def _begun(simulator: Simulator) -> None:
    while True:
        if simulator.graph.drafts.sessions:
            return
        await asyncio.sleep(0.01)


async def test_graph_that_cannot_be_reached(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        upstream = upstream_to(simulator, tmp_path)
        held = Mailbox(simulator, upstream)
        await held.arrived(written())
        await simulator.authority.close()
        conversation = await held.sent(written())
        assert (conversation.phase, conversation.cause) == (Phase.CONNECT, Cause.CONNECTION_REFUSED)
        simulator.authority.reopen()
        await held.arrived(written())
        await upstream.aclose()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ('scope = "https://outlook.office365.com/.default"', "535 5.7.8 HTTP 401 InvalidAuthenticationToken"),
        ('mailbox = "nobody@clinic.test"', "550 5.2.1 HTTP 404 ErrorInvalidUser"),
    ],
)
async def test_a_probe_tells_what_is_wrong(tmp_path: Path, more: str, text: str) -> None:
    async with Simulator() as simulator:
        upstream = upstream_to(simulator, tmp_path, "" if more.startswith("mailbox") else more)
        if more.startswith("mailbox"):
            simulator.graph._senders.clear()
        probe = await upstream.probe()
        assert probe.phase is Phase.AUTH
        assert str(probe.reply).startswith(text)
        await upstream.aclose()

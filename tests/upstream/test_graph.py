"""Microsoft Graph, as the simulator plays it."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest

from relay.config.load import load
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.envelope import Content, WholeContent
from relay.simulator.relay_toml import environment, relay_toml
from relay.simulator.simulator import Simulator
from relay.upstream.construction import upstream_of
from relay.upstream.contract import Cause, Conversation, Phase
from relay.upstream.graph import Graph
from tests.upstream.graph_mail import leaves, octets, with_attachment, written
from tests.upstream.offering import Cleared, envelope


@dataclass
class Mailbox:
    """A mailbox at the simulated Graph, and the upstream that sends by it."""

    simulator: Simulator
    upstream: Graph

    async def sent(
        self, message: EmailMessage | bytes, *recipients: str, cleared: Cleared | None = None
    ) -> Conversation:
        content = WholeContent(message if isinstance(message, bytes) else bytes(message))
        return await self.upstream.send(envelope(*(recipients or ("a@b.test",))), content, cleared or Cleared())

    async def arrived(self, message: EmailMessage | bytes, *recipients: str) -> bytes:
        """Send, and return what the recipients got."""
        conversation = await self.sent(message, *recipients)
        assert conversation.phase is Phase.DONE, conversation
        assert conversation.reply is not None
        assert str(conversation.reply).startswith("250 2.0.0 Accepted"), conversation
        assert all(said is not None and said.positive for said in conversation.recipients)
        return self.simulator.messages[-1].content

    async def carries(self, message: EmailMessage) -> None:
        """Send, and see that every part arrives."""
        whole = bytes(message)
        assert leaves(await self.arrived(whole)) == leaves(whole)

    def requests(self) -> list[tuple[str, int]]:
        return [(request.endpoint, request.status) for request in self.simulator.graph.requests]


def upstream_to(simulator: Simulator, folder: Path, more: str = "") -> Graph:
    path = folder / "relay.toml"
    text = f'state_dir = "{folder}/state"\nhostname = "relay.clinic.test"\n'
    path.write_text(text + relay_toml(simulator, "microsoft365", graph=True, more=more))
    environ = environment(simulator)
    loaded = load(path, environ)
    assert loaded.settings is not None, loaded.problems
    secrets = Secrets(environ, SealedStore(loaded.settings.state_dir, environ))
    made = upstream_of("office365", loaded.settings, secrets)
    assert isinstance(made, Graph)
    return made


@pytest.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[Mailbox]:
    async with Simulator(messages_per_minute=0) as simulator:
        upstream = upstream_to(simulator, tmp_path)
        yield Mailbox(simulator, upstream)
        await upstream.aclose()
        assert simulator.violations == []


@pytest.mark.parametrize("size", [1_000, 2_900_000, 3_100_000])
async def test_every_part_arrives_as_it_was_sent(mailbox: Mailbox, size: int) -> None:
    message = written()
    message.add_alternative("<p>Größe 1,5 µm</p>\n", subtype="html")
    whole = bytes(with_attachment(message, max(size * 70 // 100, 10)))
    arrived = await mailbox.arrived(whole)
    assert leaves(arrived) == leaves(whole)
    drafts = [endpoint for endpoint, _ in mailbox.requests() if endpoint == "draft"]
    assert len(drafts) == (1 if len(whole) > 3_000_000 else 0)
    assert mailbox.simulator.graph.drafts.all == {}


async def test_several_large_attachments_keep_their_order(mailbox: Mailbox) -> None:
    message = written()
    for number, size in enumerate((10, 3_100_000, 100, 3_000_001)):
        with_attachment(message, size, f"Anlage {number}; \"ä\" 'x'.pdf", seed=number)
    await mailbox.carries(message)
    said = [endpoint for endpoint, _ in mailbox.requests()]
    assert said.count("session") == 2
    assert said.count("attachment") == 1


async def test_images_that_the_text_shows(mailbox: Mailbox) -> None:
    message = written()
    message.add_alternative('<img src="cid:big@clinic"><img src="cid:small@clinic">', subtype="html")
    html = message.get_payload(1)
    assert isinstance(html, EmailMessage)
    html.add_related(octets(3_200_000), "image", "png", cid="<big@clinic>", filename="big.png", disposition="inline")
    html.add_related(octets(300, 2), "image", "png", cid="<small@clinic>", filename="small.png", disposition="inline")
    arrived = await mailbox.arrived(message)
    assert leaves(arrived) == leaves(bytes(message))
    related = [
        part for part in email.message_from_bytes(arrived).walk() if part.get_content_type() == "multipart/related"
    ]
    assert [part.get("Content-ID") for part in related[0].get_payload()][1:] == ["<big@clinic>", "<small@clinic>"]  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [1_000, 3_100_000])
async def test_a_message_in_a_message(mailbox: Mailbox, size: int) -> None:
    inner = with_attachment(written(text="inside\n"), size, "inner.pdf", seed=5)
    message = with_attachment(written(), 3_100_000)
    message.add_attachment(inner, filename="Verlauf ü.eml")
    assert sorted(leaves(await mailbox.arrived(message)), key=str) == sorted(leaves(bytes(message)), key=str)


async def test_a_message_that_is_a_file_and_nothing_else(mailbox: Mailbox) -> None:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = "no-reply@clinic.test"
    message["To"] = "a@b.test"
    message.set_content(octets(3_200_000), "application", "pdf", filename="scan.pdf", disposition="attachment")
    arrived = leaves(await mailbox.arrived(message))
    assert [leaf for leaf in arrived if leaf[-1].strip()] == leaves(bytes(message))


async def test_attachments_and_nothing_else(mailbox: Mailbox) -> None:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = "no-reply@clinic.test"
    message["To"] = "a@b.test"
    message.make_mixed()
    with_attachment(with_attachment(message, 3_200_000, "1.pdf"), 3_200_000, "2.pdf", seed=2)
    arrived = leaves(await mailbox.arrived(message))
    assert [leaf for leaf in arrived if leaf[-1].strip()] == leaves(bytes(message))


def _signed(size: int) -> bytes:
    inner = bytes(with_attachment(written(), size)).partition(b"MIME-Version: 1.0\r\n")
    content = inner[2]
    head = b"From: <no-reply@clinic.test>\r\nTo: <a@b.test>\r\nMIME-Version: 1.0\r\n"
    head += b'Content-Type: multipart/signed; boundary="s"; protocol="application/pkcs7-signature"\r\n\r\n'
    return head + b"--s\r\n" + content + b"\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n"


@pytest.mark.parametrize(
    "message",
    [
        bytes(written(text="A line of a very long report.\n" * 110_000)),
        _signed(3_000_000),
        bytes(with_attachment(written(text="Text.\n" * 600_000), 100_000)),
    ],
    ids=["text", "signed", "text and attachment"],
)
async def test_what_graph_cannot_carry_is_refused_and_not_damaged(mailbox: Mailbox, message: bytes) -> None:
    conversation = await mailbox.sent(message)
    assert (conversation.cause, conversation.phase) == (Cause.NOT_CARRIED, Phase.MAIL)
    assert conversation.reply is not None
    assert str(conversation.reply).startswith("554 5.6.3 ")
    assert mailbox.simulator.messages == []
    assert mailbox.requests() == []


async def test_a_signed_message_arrives_octet_for_octet(mailbox: Mailbox) -> None:
    message = _signed(1_000_000).replace(b"Hello", b"H=C3=A9llo")
    assert (await mailbox.arrived(message)).partition(b"\r\n--s\r\n")[2] == message.partition(b"\r\n--s\r\n")[2]


async def test_quoted_printable_becomes_base64(mailbox: Mailbox) -> None:
    message = written(text="x")
    message.set_content("Größe  \nclass=c3=20=\n" + "y" * 300 + "\n", cte="quoted-printable")
    arrived = await mailbox.arrived(message)
    assert leaves(arrived) == leaves(bytes(message))
    assert b"quoted-printable" not in arrived


RECIPIENTS = [
    # To, Cc, Bcc of the application; the envelope; To and Cc as they arrive
    ("a@x.test", "", "", "a@x.test", "a@x.test", ""),
    ("A@X.test, Bo <b@x.test>", "c@x.test", "", "a@x.test b@x.test c@x.test", "a@x.test,b@x.test", "c@x.test"),
    ("a@x.test", "", "secret@x.test", "a@x.test secret@x.test", "a@x.test", ""),
    ("a@x.test", "", "secret@x.test", "a@x.test", "a@x.test", ""),
    ("a@x.test, stranger@x.test", "other@x.test", "", "a@x.test", "a@x.test", ""),
    ("undisclosed-recipients:;", "", "", "a@x.test b@x.test", "", ""),
    ("", "", "", "a@x.test", "", ""),
    ("Team: a@x.test, b@x.test;", "", "", "b@x.test", "b@x.test", ""),
    ('"b@x.test" <a@x.test>', "", "", "a@x.test", "a@x.test", ""),
    ("<a@x.test> b@x.test", "", "", "a@x.test b@x.test", "", ""),
    ("a@x.test (b@x.test)", "c@x.test", "", "b@x.test c@x.test", "", "c@x.test"),
    ("a@x.test", "a@x.test", "", "a@x.test", "a@x.test", ""),
    ("=?utf-8?q?=2C_b=40x=2Etest?= <a@x.test>", "", "", "a@x.test", "a@x.test", ""),
]


@pytest.mark.parametrize(
    ("to", "cc", "bcc", "meant", "shown_to", "shown_cc", "large"),
    [(*row, False) for row in RECIPIENTS] + [(*row, True) for row in RECIPIENTS[1:6:2]],
)
async def test_the_envelope_decides_who_gets_it(
    mailbox: Mailbox, to: str, cc: str, bcc: str, meant: str, shown_to: str, shown_cc: str, large: bool
) -> None:
    fields = [f"{name}: {value}" for name, value in (("To", to), ("Cc", cc), ("Bcc", bcc)) if value]
    head = "\r\n".join(["From: <no-reply@clinic.test>", *fields, "Resent-To: stranger@x.test"])
    attached = bytes(with_attachment(written(to=""), 3_200_000 if large else 100))
    message = head.encode() + b"\r\n" + attached.partition(b"\r\n")[2]
    arrived = email.message_from_bytes(await mailbox.arrived(message, *meant.split()), policy=email.policy.default)
    got = mailbox.simulator.messages[-1].forward_paths
    assert sorted(address.lower() for address in got) == sorted(meant.split())
    shown = [
        ",".join(one.addr_spec for one in arrived[name].addresses).lower() if arrived[name] else ""
        for name in ("To", "Cc")
    ]
    assert shown == [shown_to, shown_cc]
    assert arrived["Bcc"] is None
    assert arrived["Resent-To"] is None


async def test_an_address_beyond_ascii_is_looked_at_in_a_draft(mailbox: Mailbox) -> None:
    message = b"From: <no-reply@clinic.test>\r\nTo: <\xc3\xa5sa@x.test>, b@x.test\r\nSubject: x\r\n\r\nHello\r\n"
    await mailbox.arrived(message, "åsa@x.test", "b@x.test")
    assert sorted(mailbox.simulator.messages[-1].forward_paths) == ["b@x.test", "åsa@x.test"]
    assert [endpoint for endpoint, _ in mailbox.requests()][-1] == "send"


async def test_a_recipient_that_graph_refuses_keeps_it_from_nobody_else(mailbox: Mailbox) -> None:
    meant = ["a@x.test", "b@not-valid.test", "c@x.test", "d@x.test", "e@x.test"]
    conversation = await mailbox.sent(written(to=", ".join(meant[:4])), *meant)
    assert conversation.phase is Phase.DONE
    assert [said is not None and said.positive for said in conversation.recipients] == [True, False, True, True, True]
    assert str(conversation.recipients[1]).startswith("550 5.1.3 HTTP 400 ErrorInvalidRecipients")
    reached = [address for message in mailbox.simulator.messages for address in message.forward_paths]
    assert sorted(reached) == ["a@x.test", "c@x.test", "d@x.test", "e@x.test"]
    alone = await mailbox.sent(written(to="b@not-valid.test"), "b@not-valid.test")
    assert (alone.phase, alone.recipients) == (Phase.DONE, (None,))


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

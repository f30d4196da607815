"""Microsoft Graph, as the simulator plays it: what arrives, and with whom."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest

from relay.upstream.contract import Cause, Phase
from tests.upstream.graph_mail import leaves, octets, with_attachment, written
from tests.upstream.graph_mailbox import Mailbox


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

"""Who gets a delivery receipt, and who writes it."""

import pytest

from relay.envelope import Envelope, Notify, Recipient, WholeContent
from relay.transfer.receipts import asks_receipt, header_of, receipt_address, without_success
from tests.unit.transfer.made import mailbox

SENDER, CONFIGURED = mailbox("app@clinic.test"), mailbox("front-desk@clinic.test")


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("Reply-To: reception@clinic.test", "reception@clinic.test"),
        ("reply-to:\r\n Reception <reception@clinic.test>", "reception@clinic.test"),
        ("Reply-To: a@b.test, c@d.test", "a@b.test"),
        ("Reply-To: nobody at all", "front-desk@clinic.test"),
        ("Reply-To: <>\r\nReply-To: second@clinic.test", "second@clinic.test"),
        ("Subject: Reply-To: x@y.test", "front-desk@clinic.test"),
    ],
)
def test_who_gets_it(field: str, address: str) -> None:
    header = f"From: x@clinic.test\r\n{field}\r\n".encode()
    assert str(receipt_address(header, SENDER, CONFIGURED)) == address
    assert receipt_address(header, None, CONFIGURED) is None


def test_without_any_the_sender_gets_it() -> None:
    assert receipt_address(b"Subject: x\r\n", SENDER, None) == SENDER


def test_what_is_left_of_notify() -> None:
    rows = [None, Notify.NEVER, Notify.SUCCESS, Notify.SUCCESS | Notify.FAILURE, Notify.DELAY]
    envelope = Envelope(SENDER, tuple(Recipient(SENDER, one) for one in rows))
    assert [asks_receipt(one) for one in envelope.recipients] == [False, False, True, True, False]
    left = [one.notify for one in without_success(envelope).recipients]
    assert left == [None, Notify.NEVER, Notify.NEVER, Notify.FAILURE, Notify.DELAY]


async def test_a_header_section_alone() -> None:
    assert await header_of(WholeContent(b"A: b\r\nC: d\r\n\r\nbody\r\n")) == b"A: b\r\nC: d\r\n"
    assert await header_of(WholeContent(b"A: b\r\n")) == b"A: b\r\n"

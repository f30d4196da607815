"""Records as the tests of transfer need them."""

from __future__ import annotations

from relay.address import Mailbox, parse_mailbox
from relay.envelope import Body, DsnReturn, Notify, Origin, Recipient, WholeContent
from relay.reply import Reply, parse_reply
from relay.spool.records import (
    Claim,
    Lease,
    Priority,
    RecipientState,
    SpooledMessage,
    SpooledRecipient,
)

ACCEPTED_AT = 1_700_000_000_000
HOUR = 3_600_000


def mailbox(text: str) -> Mailbox:
    found = parse_mailbox(text)
    assert found is not None
    return found


def said(text: str) -> Reply:
    """A provider's reply from its usual notation."""
    return parse_reply(int(text[:3]), text[4:], "mx.provider.test")


def message(
    sender: str | None = "app@clinic.test",
    *,
    notice: bool = False,
    smtputf8: bool = False,
    envelope_id: str | None = None,
    dsn_return: DsnReturn | None = None,
    header_from: str = "app@clinic.test",
) -> SpooledMessage:
    return SpooledMessage(
        id="0001",
        origin=Origin("submission", "app", "10.1.2.3", "app.clinic.test"),
        reverse_path=mailbox(sender) if sender else None,
        body=Body.SEVEN_BIT,
        smtputf8=smtputf8,
        envelope_id=envelope_id,
        dsn_return=dsn_return,
        header_from=header_from,
        message_id="<1@clinic.test>",
        size=100,
        eight_bit=False,
        priority=Priority.NORMAL,
        accepted_at=ACCEPTED_AT,
        notice=notice,
    )


def row(
    address: str = "a@far.test",
    position: int = 0,
    *,
    notify: Notify | None = None,
    original: str | None = None,
    attempts: int = 1,
    uncertain: int = 0,
    give_up_at: int = ACCEPTED_AT + 120 * HOUR,
    delay_told: bool = False,
    candidates: tuple[str, ...] = ("isp",),
) -> SpooledRecipient:
    return SpooledRecipient(
        position=position,
        recipient=Recipient(mailbox(address), notify, original),
        state=RecipientState.IN_FLIGHT,
        upstream=candidates[0],
        candidates=candidates,
        attempts=attempts,
        uncertain=uncertain,
        next_attempt_at=ACCEPTED_AT,
        give_up_at=give_up_at,
        delay_told=delay_told,
    )


def claim(*rows: SpooledRecipient, of: SpooledMessage | None = None, octets: bytes = b"A: b\r\n\r\nc\r\n") -> Claim:
    return Claim(
        of or message(), "isp", rows or (row(),), Lease("node", "token", ACCEPTED_AT + 60_000), WholeContent(octets)
    )

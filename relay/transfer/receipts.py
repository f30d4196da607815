"""Delivery receipts: who gets them, and who writes them. Pure.

An application asks by NOTIFY=SUCCESS (RFC 3461), or by a header field, which inbound makes the same. The receipt goes
to Reply-To, where people read. An upstream that notifies of success itself knows the reverse-path only: it is left to
it where that is the same address.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from relay.address import Mailbox, ReversePath
from relay.envelope import Content, Envelope, Notify, Recipient
from relay.message.address_list import mailboxes_in
from relay.message.header_fields import Finder

_REPLY_TO: Final = Finder("reply-to")


def asks_receipt(recipient: Recipient) -> bool:
    """Return whether somebody wants to hear that this recipient was reached."""
    return recipient.notify is not None and Notify.SUCCESS in recipient.notify


def receipt_address(header: bytes, reverse_path: ReversePath, configured: Mailbox | None) -> ReversePath:
    """Return who gets the receipts of a message: its Reply-To, else the one of the settings, else the reverse-path.

    None: nobody. What has the null reverse-path is an answer itself (RFC 5321 §4.5.5).
    """
    if reverse_path is None:
        return None
    for found in _REPLY_TO.fields_in(header):
        for mailbox in mailboxes_in(found.value):
            if mailbox is not None:
                return mailbox
    return configured or reverse_path


def without_success(envelope: Envelope) -> Envelope:
    """Return the envelope for an upstream that is not to notify of success: we do."""
    rows = tuple(
        replace(one, notify=one.notify & ~Notify.SUCCESS) if one.notify is not None else one
        for one in envelope.recipients
    )
    return replace(envelope, recipients=rows)


async def header_of(content: Content) -> bytes:
    """Return a message's header section. Raises what reading the content raises."""
    gathered = b""
    async for chunk in content.chunks():
        gathered += chunk
        end = gathered.find(b"\r\n\r\n")
        if end >= 0:
            return gathered[: end + 2]
    return gathered

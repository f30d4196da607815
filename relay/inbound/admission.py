"""What is refused, and with which reply. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Sequence

from relay.address import Mailbox, ReversePath
from relay.config.client_settings import ClientSettings
from relay.inbound import replies
from relay.reply import Reply
from relay.spool.contract import SpoolError

MOST_RECEIVED = 30
"""Received fields with which a message is taken to loop (RFC 5321 §6.3)."""


def refuse_stranger(*, auth_offered: bool, logged_in: bool = False) -> Reply:
    """Return the reply to MAIL of somebody who is none of our clients; 421 ends the connection.

    Who has logged in was one until the configuration changed: connecting anew shows what it is now, and a mail server
    that kept its connection does not bounce what it has.
    """
    if logged_in:
        return replies.LOGIN_OVER
    return replies.AUTHENTICATION_REQUIRED if auth_offered else replies.NOT_A_CLIENT


def refuse_reverse_path(
    client: ClientSettings, reverse_path: ReversePath, declared_size: int, max_message_size: int, waiting: int
) -> tuple[Reply, str] | None:
    """Return the refusal of MAIL and its reason for the metrics, or None.

    The null reverse-path is allowed to everybody: it is what notifications use (RFC 5321 §4.5.5).
    """
    if reverse_path is not None and not sender_allowed(client, reverse_path):
        return replies.SENDER_NOT_ALLOWED, "sender"
    if declared_size > max_message_size:
        return replies.TOO_LARGE, "size"
    if waiting >= client.max_waiting:
        return replies.TOO_MUCH_WAITING, "rate"
    return None


def refuse_forward_path(client: ClientSettings, recipients: int) -> Reply | None:
    """Return the refusal of one more recipient besides `recipients`, or None."""
    return replies.TOO_MANY_RECIPIENTS if recipients >= client.max_recipients else None


def refuse_header(client: ClientSettings, received: int, authors: Sequence[Mailbox | None]) -> tuple[Reply, str] | None:
    """Return the refusal of a message for its header section, and its reason, or None.

    `authors` are the addresses of all From fields; None stands for one that cannot be read, which could be anybody.
    """
    if received >= MOST_RECEIVED:
        return replies.MAIL_LOOP, "loop"
    if client.senders and any(author is None or not sender_allowed(client, author) for author in authors):
        return replies.AUTHOR_NOT_ALLOWED, "sender"
    return None


def sender_allowed(client: ClientSettings, sender: Mailbox) -> bool:
    """Return whether the client may use this address; `@domain` in its list stands for all of that domain."""
    if not client.senders:
        return True
    domain = f"@{sender.domain.lower()}"
    return any(allowed.lower() in (sender.key, domain) for allowed in client.senders)


def refuse_for_spool(error: SpoolError) -> Reply:
    """Return the reply to a message that the spool can't take now."""
    return replies.SPOOL_FULL if error.full else replies.SPOOL_BROKEN

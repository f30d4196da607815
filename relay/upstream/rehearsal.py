"""A transaction as far as RCPT, taken back with RSET: what a server says to an envelope, with nothing sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.address import Mailbox, ReversePath
from relay.envelope import Envelope, Recipient, WholeContent
from relay.reply import Reply
from relay.upstream.commands import mail_command, misfit_of, rcpt_command
from relay.upstream.connection import NETWORK_ERRORS, Connection
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, ended_by

_CONTENT: Final = WholeContent(b"Subject: x\r\n\r\n")
"""What SIZE speaks of; it is never offered."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An envelope to try."""

    sender: ReversePath
    recipient: Mailbox


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The replies to MAIL, RCPT and RSET, in this order, as far as it came; where `cause` is given the last is ours."""

    trial: Trial
    replies: tuple[Reply, ...]
    cause: Cause | None = None

    @property
    def over(self) -> bool:
        """True where the connection can't be used for another one."""
        return self.cause is not None or self.replies[-1].code == 421


async def rehearsed(connection: Connection, trial: Trial) -> Rehearsal:
    """Say MAIL, RCPT and RSET, one after the other; a refused RCPT is taken back too."""
    envelope = Envelope(trial.sender, (Recipient(trial.recipient),))
    replies: list[Reply] = []
    cause: Cause | None = None
    try:
        connection.phase = Phase.MAIL
        misfit = misfit_of(envelope, _CONTENT, connection.extensions)
        if misfit is not None:
            raise connection.end(misfit)
        replies.append(await _said(connection, mail_command(envelope, _CONTENT, connection.extensions)))
        if replies[0].positive:
            connection.phase = Phase.RCPT
            replies.append(await _said(connection, rcpt_command(envelope.recipients[0], connection.extensions)))
            if replies[1].code != 421:
                replies.append(await _said(connection, b"RSET"))
    except ConversationEnded as end:
        replies.append(end.reply)
        cause = end.cause
    except NETWORK_ERRORS as error:
        ended = ended_by(error, connection.phase, connection.route.host)
        replies.append(ended.reply)
        cause = ended.cause
    return Rehearsal(trial, tuple(replies), cause)


async def _said(connection: Connection, line: bytes) -> Reply:
    said = await connection.command(line)
    if said.positive and said.code // 100 != 2:
        raise connection.end(Cause.GARBLED)
    return said

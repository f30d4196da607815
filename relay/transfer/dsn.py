"""Which notices are due after an attempt, and to whom (RFC 3461 §4.1, §5; RFC 5321 §4.5.5). Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.address import Mailbox, ReversePath
from relay.envelope import Notify, Recipient
from relay.reply import Reply
from relay.spool.records import RecipientState, Settlement, SpooledMessage, SpooledRecipient


class NoticeKind(enum.StrEnum):
    """What a notice tells: the `Action` field of RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"


_ASKED_BY = {NoticeKind.FAILED: Notify.FAILURE, NoticeKind.DELAYED: Notify.DELAY, NoticeKind.RELAYED: Notify.SUCCESS}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is told of one recipient. `said` is the provider's own last reply, `advice` where its advice stands."""

    row: SpooledRecipient
    reply: Reply
    said: Reply | None
    advice: str = ""

    @property
    def cause(self) -> tuple[str, Reply]:
        """What explains it: findings of which this is the same are explained alike."""
        return self.advice, self.said or self.reply


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice that is due; never empty, neither of addressees nor of findings."""

    kind: NoticeKind
    to: tuple[Mailbox, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Customs:
    """What decides besides the message: the client's settings, the upstream's DSN, the mailbox that nobody reads.

    `receipts_to`: who gets delivery receipts; None: the sender. `archive`: who gets a copy of everything, by key.
    """

    failures_to: tuple[Mailbox, ...] = ()
    alerts_to: tuple[Mailbox, ...] = ()
    receipts: bool = True
    dsn_taken_over: bool = False
    own_mailboxes: frozenset[str] = frozenset()
    receipts_to: ReversePath = None
    archive: frozenset[str] = frozenset()

    def is_archive(self, recipient: Recipient) -> bool:
        """Return whether the client's settings put this recipient in, and not the sender."""
        return recipient.notify is Notify.NEVER and recipient.forward_path.key in self.archive


def delay_due(message: SpooledMessage, row: SpooledRecipient, at: int, delay_notice: float) -> bool:
    """True where the sender asked to hear of a delay, it is long enough, and nobody told him yet."""
    wanted = row.recipient.notify is not None and Notify.DELAY in row.recipient.notify
    late = at - message.accepted_at >= delay_notice * 1000
    return wanted and late and not row.delay_told and not message.notice and message.reverse_path is not None


def notices_due(
    message: SpooledMessage, settled: Iterable[tuple[Settlement, Finding]], customs: Customs
) -> tuple[Notice, ...]:
    """Return the notices that these settlements cause; none ever about a notice of ours."""
    if message.notice:
        return ()
    found: dict[NoticeKind, list[Finding]] = {}
    for settlement, finding in settled:
        kind = _kind(settlement)
        if kind is not None:
            found.setdefault(kind, []).append(finding)
    notices: list[Notice] = []
    for kind, findings in found.items():
        notices += _of_kind(kind, message, findings, customs)
    return tuple(notices)


def sender_told(kind: NoticeKind, notify: Notify | None) -> bool:
    """True where NOTIFY asks for it; without NOTIFY senders hear of failures only (RFC 3461 §4.1)."""
    return kind is NoticeKind.FAILED if notify is None else _ASKED_BY[kind] in notify


def _kind(settlement: Settlement) -> NoticeKind | None:
    if settlement.state is RecipientState.FAILED:
        return NoticeKind.FAILED
    if settlement.state is RecipientState.RELAYED:
        return NoticeKind.RELAYED
    return NoticeKind.DELAYED if settlement.delay_told else None


def _of_kind(kind: NoticeKind, message: SpooledMessage, findings: Sequence[Finding], customs: Customs) -> list[Notice]:
    asked = tuple(finding for finding in findings if sender_told(kind, finding.row.recipient.notify))
    if kind is NoticeKind.RELAYED and (customs.dsn_taken_over or not customs.receipts):
        return []
    sender = message.reverse_path
    unread = sender is not None and sender.key in customs.own_mailboxes
    told = (sender,) if sender is not None and asked and not unread else ()
    elsewhere = customs.receipts_to if sender is not None and asked else None
    if elsewhere is not None and (
        kind is NoticeKind.RELAYED or (unread and elsewhere.key not in customs.own_mailboxes)
    ):
        told, unread = (elsewhere,), False
    if kind is not NoticeKind.FAILED:
        return [Notice(kind, told, asked)] if told else []
    copies = [one for one in findings if customs.is_archive(one.row.recipient)]
    if copies and not customs.failures_to and not (unread and asked):
        # Whoever reads the archive is no affair of the sender.
        notices = [Notice(kind, told, asked)] if told else []
        return notices + ([Notice(kind, customs.alerts_to, tuple(copies))] if customs.alerts_to else [])
    others = customs.failures_to or (customs.alerts_to if unread and asked else ())
    others = tuple(one for one in others if sender is None or unread or one.key != sender.key or not told)
    if told and others and len(asked) == len(findings):
        return [Notice(kind, told + others, asked)]
    notices = [Notice(kind, told, asked)] if told else []
    return notices + ([Notice(kind, others, tuple(findings))] if others else [])

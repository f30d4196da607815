"""Makes the notices that an attempt causes into messages for the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from relay.address import Mailbox, ReversePath, parse_mailbox
from relay.envelope import WHOLE, Body, Content, DsnReturn, Envelope, Notify, Origin, Recipient
from relay.spool.contract import Arrival, SpoolError
from relay.spool.records import Claim, RecipientState, Settlement
from relay.transfer.automatic import is_notice
from relay.transfer.bounce import Original, Stamp, bounce_for, curtailed, signed
from relay.transfer.dsn import Customs, Finding, Notice, NoticeKind, notices_due
from relay.transfer.receipts import asks_receipt, receipt_address
from relay.transfer.route import Route, route_for
from relay.transfer.sender_rights import account_of
from relay.transfer.surroundings import Surroundings

_HEADER_MOST = 256 * 1024
"""Octets of a header section that are returned at most, as many as are accepted."""

_ABOUT_ADDRESSEES = frozenset({1, 2})
_ABOUT_SENDERS = frozenset({(1, 7), (1, 8)})
"""Subjects, and subjects with details, of an enhanced status (RFC 3463 §3)."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A notice ready for the queue."""

    arrival: Arrival
    kind: NoticeKind


class Postmaster:
    """Composes notices. `usable` tells whether an upstream is neither held nor unreachable."""

    def __init__(self, surroundings: Surroundings, usable: Callable[[str], bool]) -> None:
        self._around = surroundings
        self._usable = usable

    async def notices(self, claim: Claim, settled: Sequence[tuple[Settlement, Finding]], *, dsn: bool) -> list[Posted]:
        """Return the notices that settlements cause; `dsn` tells that the upstream notifies of success itself."""
        message = claim.message
        if message.notice:
            return await self._once_more(claim, settled)
        settings = self._around.settings
        sender = message.reverse_path or parse_mailbox(message.header_from)
        route = route_for(settings, self._wanted(claim), self._usable, sender)
        if route is None:
            self._around.journal.warned("no_way_for_notice", id=message.id, upstream=claim.upstream)
            return []
        original = await original_of(claim.content, full=message.dsn_return is DsnReturn.FULL)
        receipts_to = self._receipts_to(claim, original) if any(map(_receipt_due, settled)) else None
        due = notices_due(message, settled, self._customs(claim, route, receipts_to, dsn=dsn))
        if not due:
            if any(settlement.state is RecipientState.FAILED for settlement, _ in settled):
                self._around.journal.warned("nobody_to_tell", id=message.id, upstream=claim.upstream)
            return []
        if is_notice(original.octets, message.reverse_path):
            self._around.journal.warned("nobody_to_tell", id=message.id, upstream=claim.upstream)
            return []
        return [self._posted(notice, claim, original, route) for notice in due]

    async def _once_more(self, claim: Claim, settled: Sequence[tuple[Settlement, Finding]]) -> list[Posted]:
        """Return a refused notice of ours without the body of the message it is about, else as the login; each once."""
        around, message = self._around, claim.message
        refused = tuple(finding.row.recipient for settlement, finding in settled if _notice_refused(settlement))
        whole = b"".join([piece async for piece in claim.content.chunks()]) if refused else b""
        octets, path = curtailed(whole), message.reverse_path
        if octets is None:
            path = self.login_of(claim)
            if path is None or not refused:
                return []
            octets = signed(whole, path)
        now, eight_bit = around.clock(), not octets.isascii()
        arrival = Arrival(
            id=around.outgoing.next_id(),
            origin=message.origin,
            envelope=Envelope(
                path,
                refused,
                Body.EIGHT_BIT_MIME if eight_bit else Body.SEVEN_BIT,
                message.smtputf8,
            ),
            candidates=tuple(dict.fromkeys((claim.upstream, *claim.recipients[0].candidates))),
            content=octets,
            size=len(octets),
            eight_bit=eight_bit,
            header_from=str(path) if path is not None else message.header_from,
            message_id=message.message_id,
            accepted_at=now,
            give_up_at=now + round(1000 * around.settings.queue.give_up),
            notice=True,
        )
        return [Posted(arrival, NoticeKind.FAILED)]

    def login_of(self, claim: Claim) -> Mailbox | None:
        """Return as whom a notice may go that was refused with the null reverse-path; None where it had another.

        Many providers let a login send as its own address only.
        """
        if not claim.message.notice or claim.message.reverse_path is not None:
            return None
        login = getattr(self._around.settings.upstream.get(claim.upstream), "username", None) or ""
        return parse_mailbox(login) if "@" in login else None

    def has_way(self, claim: Claim) -> bool:
        """Return whether one of the upstreams by which a notice about the claim may go is usable."""
        return any(name is not None and self._usable(name) for name in self._wanted(claim))

    def _wanted(self, claim: Claim) -> tuple[str | None, ...]:
        settings = self._around.settings
        here = settings.upstream.get(claim.upstream)
        if here is not None and here.type == "capture":
            # Nothing about a training system's mail leaves it either.
            return (claim.upstream,)
        return (claim.upstream, *claim.recipients[0].candidates, settings.alerts.upstream)

    def _receipts_to(self, claim: Claim, original: Original) -> ReversePath:
        message = claim.message
        face = self._around.faces.face_of(message, claim.upstream)
        configured = face.answers_to if face is not None else None
        return receipt_address(original.octets.partition(b"\r\n\r\n")[0], message.reverse_path, configured)

    def _customs(self, claim: Claim, route: Route, receipts_to: ReversePath, *, dsn: bool) -> Customs:
        settings = self._around.settings
        client = settings.client.get(claim.message.origin.client)
        ways = (settings.upstream.get(name) for name in (claim.upstream, route.candidates[0]))
        accounts = [account_of(way) for way in ways if way is not None]
        return Customs(
            failures_to=_mailboxes(client.failures_to if client else ()),
            alerts_to=_mailboxes(settings.alerts.to),
            receipts=client.receipts if client else True,
            dsn_taken_over=dsn,
            own_mailboxes=frozenset(account.key for account in accounts if account is not None),
            receipts_to=receipts_to,
            archive=frozenset(copy.key for copy in _mailboxes(client.bcc if client else ())),
        )

    def _posted(self, notice: Notice, claim: Claim, original: Original, route: Route) -> Posted:
        around = self._around
        stamp = Stamp(
            around.outgoing.next_id(),
            around.clock(),
            around.settings.hostname,
            route.author,
            claim.upstream,
            around.settings.upstream.get(claim.upstream),
        )
        report = bounce_for(notice, claim.message, original, stamp)
        origin = Origin(claim.message.origin.listener, claim.message.origin.client, "", around.settings.hostname)
        arrival = Arrival(
            id=stamp.id,
            origin=origin,
            envelope=Envelope(
                route.reverse_path,
                # RFC 3461 §5.2.7: nobody is notified of a notice.
                tuple(Recipient(one, Notify.NEVER) for one in notice.to),
                Body.EIGHT_BIT_MIME if report.eight_bit else Body.SEVEN_BIT,
                report.smtputf8,
            ),
            candidates=route.candidates,
            content=report.octets,
            size=len(report.octets),
            eight_bit=report.eight_bit,
            header_from=str(route.author),
            message_id=f"<{stamp.id}@{stamp.hostname}>",
            accepted_at=stamp.at,
            give_up_at=stamp.at + round(1000 * around.settings.queue.give_up),
            notice=True,
        )
        return Posted(arrival, notice.kind)


async def original_of(content: Content, *, full: bool) -> Original:
    """Return what a notice returns of the message: all of it where asked for and not large, else the header section."""
    whole = full and content.size <= WHOLE
    gathered = bytearray()
    try:
        async for piece in content.chunks():
            gathered += piece
            end = -1 if whole else gathered.find(b"\r\n\r\n")
            if end >= 0:
                return Original(bytes(gathered[: end + 2]))
            if not whole and len(gathered) >= _HEADER_MOST:
                return Original(bytes(gathered[: gathered.rfind(b"\r\n", 0, _HEADER_MOST) + 2]))
    except SpoolError:
        return Original(b"")
    return Original(bytes(gathered), whole)


def _mailboxes(addresses: Iterable[str]) -> tuple[Mailbox, ...]:
    found = (parse_mailbox(address) for address in addresses)
    return tuple(one for one in found if one is not None)


def _notice_refused(settlement: Settlement) -> bool:
    """True where a recipient was given up by a lasting reply, not one about his address or his mailbox."""
    said = settlement.reply
    if settlement.state is not RecipientState.FAILED or said is None or not said.permanent:
        return False
    status = said.enhanced
    return status.subject not in _ABOUT_ADDRESSEES or (status.subject, status.detail) in _ABOUT_SENDERS


def _receipt_due(settled: tuple[Settlement, Finding]) -> bool:
    return asks_receipt(settled[1].row.recipient)


def worth_telling(settled: tuple[Settlement, Finding]) -> bool:
    """True where somebody may want to hear of it: most messages are relayed, and nobody asked."""
    settlement, finding = settled
    if settlement.state is RecipientState.RELAYED:
        return asks_receipt(finding.row.recipient)
    return settlement.state is RecipientState.FAILED or settlement.delay_told

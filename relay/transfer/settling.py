"""Records what came of an attempt: outcomes, next times and notices, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from relay.config.upstream_settings import UpstreamSettings
from relay.diagnosis.diagnosis import Diagnosis
from relay.diagnosis.names import names_of
from relay.reply import Reply
from relay.spool.contract import SpoolError
from relay.spool.records import Claim, HoldReason, RecipientState, Settlement, SpooledRecipient
from relay.transfer.alerts import Alerts
from relay.transfer.custody import Custody
from relay.transfer.dsn import Finding, delay_due
from relay.transfer.explanation import diagnosis_of_failure
from relay.transfer.outcome import Deferred, Failed, Hold, Outcome, Scope, Uncertain
from relay.transfer.postmaster import Posted, Postmaster, worth_telling
from relay.transfer.settlement import Terms, expired, noted, passed_on, settlement_for
from relay.transfer.surroundings import Surroundings

_SPOOL_PAUSE = 0.2
"""Seconds between two tries at a spool in trouble: short, to be there before leases that ran out are taken away."""


class Settling:
    """Settles claims.

    `troubled` counts those whose record the spool refuses just now: until they are in, nothing new may be claimed, or
    a message could be sent twice. `elsewhere` gives another upstream for a recipient that this one may not send.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        custody: Custody,
        postmaster: Postmaster,
        alerts: Alerts,
        elsewhere: Callable[[Claim, SpooledRecipient], str | None] = lambda claim, row: None,
    ) -> None:
        self._around = surroundings
        self._custody = custody
        self._postmaster = postmaster
        self._alerts = alerts
        self._elsewhere = elsewhere
        self.troubled = 0

    async def settle(
        self,
        claim: Claim,
        outcomes: Sequence[Outcome],
        *,
        trial_at: int | None = None,
        dsn: bool = False,
        note: Reply | None = None,
    ) -> None:
        """Record the outcomes, however long the spool takes; `trial_at` when an unreachable upstream is next tried."""
        around = self._around
        terms = Terms(around.clock(), around.settings.queue, around.chance(), trial_at)
        settled = []
        login = self._postmaster.login_of(claim)
        for row, found in zip(claim.recipients, outcomes, strict=True):
            outcome = _given_up(found) if login is not None else found
            settlement = settlement_for(row, outcome, terms)
            if settlement.state is RecipientState.QUEUED and delay_due(
                claim.message, row, terms.at, terms.queue.delay_notice
            ):
                settlement = replace(settlement, delay_told=True)
            if settlement.hold_reason is HoldReason.SEND_AS and (other := self._elsewhere(claim, row)) is not None:
                settlement = passed_on(settlement, other, terms.at)
            settled.append((settlement, finding_of(row, settlement, outcome)))
        await self._record(claim, settled, dsn=dsn, note=note)

    async def expire(self, claim: Claim) -> None:
        """Give up recipients without an attempt: their time was over before the upstream could be reached."""
        settled = []
        for row in claim.recipients:
            settlement = Settlement(row.position, RecipientState.FAILED, "failed", expired(row.reply))
            settled.append((settlement, Finding(row, expired(row.reply), row.reply)))
        await self._record(claim, settled, dsn=False)

    def can_tell(self, claim: Claim) -> bool:
        """Return whether a notice about the claim would leave now."""
        return self._postmaster.has_way(claim)

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """Make claims due again whose attempt never began."""
        if not claims:
            return
        try:
            await self._around.outgoing.give_back(claims)
        except SpoolError as error:
            # The leases run out by themselves.
            self._around.journal.failed("give_back", error)
        for claim in claims:
            self._custody.end(claim)

    async def postpone(self, postponed: Sequence[tuple[Claim, int]]) -> None:
        """Make claims due later whose attempt never began: their client's turn has not come."""
        if not postponed:
            return
        try:
            await self._around.outgoing.postpone(postponed)
        except SpoolError as error:
            # The leases run out by themselves.
            self._around.journal.failed("postpone", error)
        for claim, _ in postponed:
            self._custody.end(claim)

    async def _record(
        self, claim: Claim, settled: Sequence[tuple[Settlement, Finding]], *, dsn: bool, note: Reply | None = None
    ) -> None:
        posted = await self._notices(claim, settled, dsn=dsn) if any(map(worth_telling, settled)) else []
        settlements = noted([settlement for settlement, _ in settled], note)
        kept = await self._until_recorded(claim, settlements, posted)
        self._custody.end(claim)
        journal = self._around.journal
        if not kept:
            journal.warned("lease_lost", id=claim.message.id, upstream=claim.upstream)
            return
        diagnoses = diagnoses_of(claim, settled, self._around.settings.upstream)
        journal.settled(claim, settlements, self._around.clock(), diagnoses)
        for notice in posted:
            journal.notice_put(notice.arrival, claim.message.id, notice.kind)
        held: dict[HoldReason, Reply | None] = {}
        for one in settlements:
            if one.upstream is not None and one.reply is not None:
                client, here = claim.message.origin.client, claim.upstream
                journal.moved(claim.message.id, client, here, one.upstream, 1, HoldReason.SEND_AS.value, one.reply)
            if one.hold_reason is not None:
                held[one.hold_reason] = one.reply
        for reason, said in held.items():
            await self._alerts.message_held(claim.upstream, reason, claim.message, said)

    async def _notices(self, claim: Claim, settled: Sequence[tuple[Settlement, Finding]], *, dsn: bool) -> list[Posted]:
        try:
            return await self._postmaster.notices(claim, settled, dsn=dsn)
        except Exception as error:
            # Without a notice the outcome still has to be recorded: else the message would be sent again.
            self._around.journal.failed("notice", error)
            return []

    async def _until_recorded(self, claim: Claim, settlements: Sequence[Settlement], posted: Sequence[Posted]) -> bool:
        notices = [notice.arrival for notice in posted]
        troubled = False
        try:
            while True:
                try:
                    return await self._around.outgoing.settle(claim, settlements, notices)
                except SpoolError as error:
                    if not troubled:
                        troubled = True
                        self.troubled += 1
                        self._around.journal.failed("settle", error)
                    await asyncio.sleep(_SPOOL_PAUSE)
        finally:
            self.troubled -= troubled


def diagnoses_of(
    claim: Claim, settled: Iterable[tuple[Settlement, Finding]], upstreams: Mapping[str, UpstreamSettings]
) -> dict[int, Diagnosis]:
    """Return why each recipient that failed did, by position."""
    failed = [finding for settlement, finding in settled if settlement.state is RecipientState.FAILED]
    if not failed:
        return {}
    upstream = upstreams.get(claim.upstream)
    names = names_of(claim.upstream, upstream, claim.message.header_from)
    # Of many recipients with the same answer the first is enough.
    known: dict[tuple[str, Reply], Diagnosis] = {}
    for one in failed:
        if one.cause not in known:
            known[one.cause] = diagnosis_of_failure(*one.cause, upstream, names)
    return {one.row.position: known[one.cause] for one in failed}


def _given_up(outcome: Outcome) -> Outcome:
    """A notice that may not go with the null reverse-path goes as the login instead: nobody has to look after it."""
    if isinstance(outcome, Hold) and outcome.scope is Scope.SENDER:
        return Failed(outcome.reply)
    return outcome


def finding_of(row: SpooledRecipient, settlement: Settlement, outcome: Outcome) -> Finding:
    """Return what a notice would tell of a recipient."""
    said: Reply | None = None if isinstance(outcome, Uncertain) else outcome.reply
    if settlement.uncertain:
        row = replace(row, uncertain=row.uncertain + 1)
    advice = outcome.row if isinstance(outcome, Failed | Deferred) else ""
    return Finding(row, settlement.reply or expired(said), said, advice)

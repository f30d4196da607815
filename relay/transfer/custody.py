"""The claims that this process works on, and how long their leases hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.spool.contract import Outgoing
from relay.spool.records import Claim
from relay.transfer.clock import Clock

RENEW_EVERY = 20.0
"""Seconds between renewals, a third of a lease."""

_MARGIN = 2_000
"""Milliseconds before its end from which a lease counts as lost."""


@dataclass(slots=True)
class _Kept:
    claim: Claim
    valid_until: int
    duration: int


class Custody:
    """Knows by time alone whether a claim is still ours: a spool that does not answer cannot confirm a lease."""

    def __init__(self, outgoing: Outgoing, clock: Clock) -> None:
        self._outgoing = outgoing
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, claims: Sequence[Claim]) -> None:
        """Begin to keep claims that were just leased."""
        now = self._clock()
        for claim in claims:
            expires_at = claim.lease.expires_at
            self._kept[claim.lease.token] = _Kept(claim, expires_at, max(0, expires_at - now))

    def end(self, claim: Claim) -> None:
        """The claim was settled, given back or lost."""
        self._kept.pop(claim.lease.token, None)

    def valid(self, claim: Claim) -> bool:
        """True while the lease holds."""
        kept = self._kept.get(claim.lease.token)
        return kept is not None and self._clock() + _MARGIN < kept.valid_until

    async def renew(self) -> None:
        """Extend all leases; those that the spool no longer knows are lost at once. Raises SpoolError."""
        asked = list(self._kept.values())
        if not asked:
            return
        now = self._clock()
        held = await self._outgoing.renew([kept.claim for kept in asked])
        for kept in asked:
            kept.valid_until = now + kept.duration if kept.claim.lease.token in held else 0

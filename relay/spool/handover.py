"""Handing over: what is put goes to its upstream's lane at once, leased in the same transaction, without a claim."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

from relay.spool.bells import Bells
from relay.spool.contract import Taker


class Handover:
    """Says to whom what is put goes. Used in the event loop only.

    Nothing overtakes what is due already: while something of an upstream waits to be claimed, or is on its way there,
    everything is queued. A put that is under way takes up room.
    """

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._takers: dict[str, Taker] = {}
        self._queued: Counter[str] = Counter()
        self._handed: Counter[str] = Counter()

    def hand_to(self, upstream: str, taker: Taker) -> None:
        """From now on `taker` gets what is put for an upstream, where it has room."""
        self._takers[upstream] = taker

    def taker_for(self, upstream: str, recipients: int) -> Taker | None:
        """Return who gets a message to so many recipients; None where it has to be queued."""
        taker = self._takers.get(upstream)
        if taker is None or self._queued[upstream] or not self._bells.of(upstream).quiet:
            return None
        return taker if taker.has_room(self._handed[upstream], recipients) else None

    def follow(self, put: asyncio.Future[Any], upstream: str, *, handed: bool) -> None:
        """Count a put until it has ended, in whatever way."""
        under_way = self._handed if handed else self._queued
        under_way[upstream] += 1
        put.add_done_callback(partial(_over, under_way, upstream))


def _over(under_way: Counter[str], upstream: str, _put: asyncio.Future[Any]) -> None:
    under_way[upstream] -= 1

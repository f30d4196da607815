"""What clients may not know of: messages that were relayed although nobody heard it, or may have been.

A client that sends such a message again is answered without sending it twice. Kept in memory: a restart forgets it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from relay.envelope import Content
from relay.reply import Reply
from relay.spool.contract import Arrival
from relay.transfer.clock import Clock
from relay.transfer.direct_delivery import Delivery

_KEPT: Final = 24 * 3600 * 1000
_KEPT_WITHOUT_ID: Final = 15 * 60 * 1000
"""Milliseconds. Without a Message-ID of its own a message may be like another and yet not be the same: that it is
sent again soon after a 451 tells a repetition, and nothing else does.
"""

_MOST: Final = 10_000

Key: TypeAlias = tuple[str, str, tuple[str, ...], bytes]


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier try at a message. `relayed` are the paths it reached, `reply` what is said where those are all.

    `uncertain` counts the tries that ended without an answer; until `wait_until` none is made.
    """

    body: bytes
    forget_at: int
    reply: Reply
    relayed: frozenset[str]
    uncertain: int = 0
    wait_until: int = 0


def key_of(arrival: Arrival) -> Key | None:
    """Return what a repetition has in common with the first, but for the body; None where nothing tells."""
    if not arrival.mark:
        return None
    envelope = arrival.envelope
    paths = tuple(str(one.forward_path) for one in envelope.recipients)
    return arrival.origin.client, str(envelope.reverse_path or ""), paths, arrival.mark


async def body_of(content: Content) -> bytes:
    """Return the digest of what follows the header section. Raises SpoolError."""
    digest = hashlib.sha256()
    head: bytearray | None = bytearray()
    async for chunk in content.chunks():
        if head is None:
            digest.update(chunk)
            continue
        head += chunk
        end = head.find(b"\r\n\r\n")
        if end >= 0:
            digest.update(head[end + 4 :])
            head = None
    return digest.digest()


class Memory:
    """`find` and `alike` read the content only where header section, client and envelope agree."""

    def __init__(self, clock: Clock, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._earlier: OrderedDict[Key, Earlier] = OrderedDict()
        self._under_way: dict[Key, tuple[Delivery, ...]] = {}

    def __len__(self) -> int:
        return len(self._earlier)

    def begin(self, key: Key, delivery: Delivery) -> Callable[[], None]:
        """Note a delivery that is under way; return what to call when it is over."""
        self._under_way[key] = (*self.under_way(key), delivery)

        def end() -> None:
            left = tuple(one for one in self.under_way(key) if one is not delivery)
            if left:
                self._under_way[key] = left
            else:
                self._under_way.pop(key, None)

        return end

    def under_way(self, key: Key) -> tuple[Delivery, ...]:
        """Return the deliveries of this key that are under way."""
        return self._under_way.get(key, ())

    async def first_of(self, key: Key, delivery: Delivery) -> Delivery | None:
        """Return the delivery under way that this one repeats: one that its client has given up, or heard 451 of."""
        for first in self.under_way(key):
            deserted = first.identified and not first.answered and not first.listening()
            if (first.late or deserted) and await body_of(first.content) == await body_of(delivery.content):
                return first
        return None

    async def find(self, key: Key, content: Content) -> Earlier | None:
        """Return the earlier try at this very message, where one is remembered."""
        earlier = self._earlier.get(key)
        if earlier is None:
            return None
        if earlier.forget_at <= self._clock():
            del self._earlier[key]
            return None
        return earlier if earlier.body == await body_of(content) else None

    async def remember(
        self, key: Key, delivery: Delivery, said: Reply, relayed: frozenset[str], uncertain: int = 0, pause: int = 0
    ) -> None:
        """Remember a try; `pause` in milliseconds until the next one where it is uncertain. Raises SpoolError."""
        now = self._clock()
        forget_at = now + (_KEPT if delivery.identified else _KEPT_WITHOUT_ID)
        body = await body_of(delivery.content)
        self._earlier.pop(key, None)
        self._earlier[key] = Earlier(body, forget_at, said, relayed, uncertain, now + pause)
        while len(self._earlier) > self._most:
            self._earlier.popitem(last=False)

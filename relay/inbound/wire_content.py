"""Content off the wire into a reception, as it comes in: to the final dot, or a chunk of known size."""

from __future__ import annotations

from relay.inbound.data_reader import DotReader
from relay.inbound.inflow import Inflow
from relay.inbound.reception import Reception


class Dotted:
    """All of DATA. `complete` once the final dot was found; what follows it is left in the inflow."""

    __slots__ = ("_reader", "complete", "reception")

    def __init__(self, reception: Reception) -> None:
        self.reception = reception
        self.complete = False
        self._reader = DotReader()

    def take(self, inflow: Inflow) -> bool:
        """Take what has come in; True when the reception's `spill` has to be awaited before more is taken."""
        if not inflow:
            return False
        content, after = self._reader.feed(inflow.take())
        if after is not None:
            inflow.put_back(after)
            self.complete = True
        return bool(content) and self.reception.add(content)


class Chunk:
    """So many octets of BDAT (RFC 3030), to be dropped where there is no reception."""

    __slots__ = ("_left", "last", "reception", "size")

    def __init__(self, size: int, reception: Reception | None, *, last: bool) -> None:
        self.size = size
        self.reception = reception
        self.last = last
        self._left = size

    @property
    def complete(self) -> bool:
        """True once all is here."""
        return not self._left

    def take(self, inflow: Inflow) -> bool:
        """Take what has come in; True when the reception's `spill` has to be awaited before more is taken."""
        if not self._left or not inflow:
            return False
        octets = inflow.take()
        if len(octets) > self._left:
            inflow.put_back(octets[self._left :])
            octets = octets[: self._left]
        self._left -= len(octets)
        return self.reception is not None and self.reception.add(octets)

"""Content off the wire into a reception: to the final dot, or a chunk of known size. What comes in is progress."""

from __future__ import annotations

from relay.inbound.data_reader import DotReader
from relay.inbound.reception import Reception
from relay.inbound.wire import Wire


async def read_to_the_dot(wire: Wire, reception: Reception) -> None:
    """Take all of DATA; what follows the final dot is left on the wire. Raises Disconnected."""
    reader = DotReader()
    wire.progressed()
    while True:
        octets = wire.take()
        if not octets:
            await wire.more()
            continue
        wire.progressed()
        content, after = reader.feed(octets)
        if content:
            await _give(wire, reception, content)
        if after is not None:
            wire.put_back(after)
            wire.busy()
            return


async def read_chunk(wire: Wire, size: int, reception: Reception | None) -> None:
    """Take `size` octets of BDAT (RFC 3030), to be dropped where there is no reception. Raises Disconnected."""
    left = size
    wire.progressed()
    while left:
        octets = wire.take()
        if not octets:
            await wire.more()
            continue
        wire.progressed()
        if len(octets) > left:
            wire.put_back(octets[left:])
            octets = octets[:left]
        left -= len(octets)
        if reception is not None:
            await _give(wire, reception, octets)
    wire.busy()


async def _give(wire: Wire, reception: Reception, octets: bytes) -> None:
    if reception.add(octets):
        wire.busy()
        await reception.spill()
        wire.progressed()

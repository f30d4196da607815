"""A failure of a token endpoint that is switched on, as far as it needs no words of the authority's own."""

from __future__ import annotations

import asyncio

from relay.simulator.faults import Fault, Faults
from relay.simulator.http_server import NoResponse, Response


async def struck(faults: Faults, provider: str, endpoint: str, patience: float) -> Fault | Response | None:
    """Return the failure due now: an answer, or a fault whose error the authority words itself; None for none.

    Waits where it is slow; raises NoResponse where the connection ends, after `patience` seconds where it is silent.
    """
    fault = faults.take(provider, endpoint)
    if fault is None:
        return None
    if fault.action == "slow":
        await asyncio.sleep(fault.seconds)
        return None
    if fault.action == "silence":
        await asyncio.sleep(patience)
    if fault.action in ("close", "silence", "garbled"):
        raise NoResponse(garbled=fault.action == "garbled")
    if not fault.error:
        return Response(fault.status, b"<html>Service unavailable</html>", "text/html", fault.headers)
    return fault

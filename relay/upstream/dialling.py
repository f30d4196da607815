"""Reaching a host by all of its addresses (RFC 8305), so that a broken IPv6 does not use up the time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket

STAGGER = 0.25
"""Seconds after which the next address is tried beside those still trying (RFC 8305 §5)."""

_Address = tuple[int, tuple[str, int]]


def in_turn(found: list[_Address]) -> list[_Address]:
    """Order addresses so that the families alternate, the resolver's first one in front (RFC 8305 §4)."""
    if not found:
        return []
    first = [address for address in found if address[0] == found[0][0]]
    second = [address for address in found if address[0] != found[0][0]]
    pairs = itertools.zip_longest(first, second)
    return [address for pair in pairs for address in pair if address is not None]


async def addresses_of(host: str, port: int) -> list[_Address]:
    """Return the addresses of a host in the order to try. Raises OSError or UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return in_turn(list(dict.fromkeys((family, address) for family, _, _, _, address in found)))  # type: ignore[misc]


async def dialled(host: str, port: int, timeout: float) -> socket.socket:
    """Return a connected socket. Raises OSError (of the last address that failed), UnicodeError or TimeoutError."""
    async with asyncio.timeout(timeout):
        addresses = await addresses_of(host, port)
        if len(addresses) == 1:
            return await _connected(*addresses[0])
        return await _first_of(addresses)


async def _connected(family: int, address: tuple[str, int]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


async def _first_of(addresses: list[_Address]) -> socket.socket:
    running: set[asyncio.Task[socket.socket]] = set()
    failure: Exception = OSError("no address")
    waiting = list(addresses)
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_connected(*waiting.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    running |= done - {task}
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
        raise failure
    finally:
        await _dropped(running)


async def _dropped(tasks: set[asyncio.Task[socket.socket]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, OSError):
            (await task).close()

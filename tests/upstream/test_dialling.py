"""Reaching a host by all of its addresses."""

import asyncio
import socket
from typing import Any

import pytest

from relay.upstream.detached import detached
from relay.upstream.dialling import dialled, in_turn
from tests.rig.scripted import ScriptedServer

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("families", "order"),
    [
        ([], []),
        ([V6, V6, V6, V4, V4], [V6, V4, V6, V4, V6]),
        ([V4, V4, V6], [V4, V6, V4]),
        ([V4, V4], [V4, V4]),
    ],
)
def test_families_alternate(families: list[int], order: list[int]) -> None:
    found = [(family, (f"address{number}", 25)) for number, family in enumerate(families)]
    turns = in_turn(found)
    assert [family for family, _ in turns] == order
    assert sorted(turns) == sorted(found)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    async def getaddrinfo(self: object, host: str, port: int, **_: Any) -> list[Any]:
        # uvloop asks once more for each address before it connects.
        found = addresses if host == "mail.test" else (host,)
        return [(V4, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", getaddrinfo, raising=False)


class Silent:
    """A port that takes no more connections and refuses none: its backlog is full."""

    def __init__(self, address: str, port: int) -> None:
        self.listening = socket.socket()
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind((address, port))
        self.listening.listen(0)
        self.filling = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((address, port))
            self.filling.append(client)

    def close(self) -> None:
        for client in (*self.filling, self.listening):
            client.close()


async def test_an_address_that_refuses_or_hangs_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        silent = Silent("127.0.0.3", server.port)
        try:
            resolving(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
            begun = asyncio.get_running_loop().time()
            made = await dialled("mail.test", server.port, 5.0)
            assert made.getpeername()[0] == "127.0.0.1"
            assert asyncio.get_running_loop().time() - begun < 2.0
            made.close()
            resolving(monkeypatch, "127.0.0.3", "127.0.0.3")
            with pytest.raises(TimeoutError):
                await dialled("mail.test", server.port, 0.4)
        finally:
            silent.close()


async def test_all_addresses_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        server.close()
        resolving(monkeypatch, "127.0.0.2", "127.0.0.3")
        with pytest.raises(ConnectionRefusedError):
            await dialled("mail.test", server.port, 5.0)


async def test_a_detached_call() -> None:
    assert await detached("sum", lambda: 1 + 1) == 2
    nothing: dict[str, str] = {}
    with pytest.raises(LookupError):
        await detached("fault", lambda: nothing["no such key"])
    task = asyncio.create_task(detached("late", lambda: None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

"""The control socket's conversation, over a socket in a folder of the test's own."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from relay.control.socket import ControlServer, RefusedError, connect
from relay.journal import Journal
from relay.metrics import Metrics


async def _answer(command: str, arguments: Mapping[str, Any]) -> Any:
    if command == "refuse":
        raise RefusedError("no such thing")
    if command == "break":
        raise RuntimeError("secret text of ours")
    return {"command": command, "arguments": dict(arguments)}


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    server = ControlServer(tmp_path, _answer, Journal(Metrics("0")))
    await server.open()
    yield tmp_path
    await server.aclose()


def _asked(folder: Path, command: str, arguments: Mapping[str, Any]) -> Any:
    connection = connect(folder)
    assert connection is not None
    with connection:
        return connection.ask(command, arguments)


async def test_an_answer_comes_back_whole(folder: Path) -> None:
    arguments = {"id": "0AB-1", "text": "Grüße\nzwei", "none": None, "long": "x" * 30000}
    answer = await asyncio.to_thread(_asked, folder, "trace", arguments)
    assert answer == {"command": "trace", "arguments": arguments}


async def test_a_refusal_is_the_asker_s(folder: Path) -> None:
    with pytest.raises(RefusedError, match="no such thing"):
        await asyncio.to_thread(_asked, folder, "refuse", {})


async def test_a_defect_of_ours_is_answered_without_its_text(folder: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        await asyncio.to_thread(_asked, folder, "break", {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[]\n", b"{}\n", b'{"command": "x", "arguments": 5}\n', b"\xff\xfe\n"]
)
async def test_nonsense_is_answered_and_the_socket_lives_on(folder: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(folder / "control.sock"))
    writer.write(line)
    assert b'"problem"' in await reader.readline()
    writer.write(b'{"command": "status"}\n')
    assert b'"answer"' in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_an_endless_line_ends_that_connection_only(folder: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(folder / "control.sock"))
    writer.write(b"x" * 300_000)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert await asyncio.to_thread(_asked, folder, "status", {})


async def test_only_the_owner_may_open_it(folder: Path) -> None:
    assert stat.S_IMODE((folder / "control.sock").stat().st_mode) == 0o600


def test_no_socket_means_no_relay(tmp_path: Path) -> None:
    assert connect(tmp_path) is None
    assert connect(tmp_path / "missing") is None


def test_a_socket_left_by_a_killed_relay_means_no_relay(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control.sock"))
    assert connect(tmp_path) is None


async def test_a_socket_left_by_a_killed_relay_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control.sock"))
    server = ControlServer(tmp_path, _answer, Journal(Metrics("0")))
    await server.open()
    assert await asyncio.to_thread(_asked, tmp_path, "status", {})
    await server.aclose()
    assert not (tmp_path / "control.sock").exists()


async def test_a_path_longer_than_a_socket_s_address_holds(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    server = ControlServer(deep, _answer, Journal(Metrics("0")))
    await server.open()
    assert await asyncio.to_thread(_asked, deep, "status", {})
    await server.aclose()

"""Starting, ending, controls, and what is said about them."""

import asyncio
import contextlib
import gc
import json
import socket
import ssl
import time
import tomllib
import urllib.request
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
import requests
import uvloop

from relay.simulator.connection import Connection
from relay.simulator.listener import Listener
from relay.simulator.mailbox import ReceivedMessage
from relay.simulator.options import Options
from relay.simulator.relay_toml import environment, relay_toml
from relay.simulator.run import run
from relay.simulator.simulator import Simulator
from tests.simulator.raw_client import RawClient, message


async def submit(simulator: Simulator) -> None:
    async with RawClient(simulator, simulator.microsoft365) as client:
        await client.log_in(simulator)
        assert (await client.transact(message())).startswith("250")


async def ask(simulator: Simulator, method: str, path: str, body: object = None) -> tuple[int, Any]:
    def fetch() -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(simulator.control_url + path, data=data, method=method)  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request) as answer:
                text = answer.read()
                plain = answer.headers["Content-Type"].startswith("application/json")
                return answer.status, json.loads(text) if plain else text
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    return await asyncio.to_thread(fetch)


async def test_it_starts_at_once_and_leaves_nothing() -> None:
    begun = time.monotonic()
    async with Simulator() as simulator:
        assert time.monotonic() - begun < 1.0
        directory = simulator.directory
        assert simulator.ca_file.exists()
        async with RawClient(simulator, simulator.ses) as still_connected:
            await still_connected.log_in(simulator)
            await submit(simulator)
            await simulator.__aexit__(None, None, None)
            assert await still_connected.reply() == ""
    assert not directory.exists()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", simulator.ses.port), timeout=1)


def test_it_works_on_uvloop() -> None:
    async def story() -> int:
        async with Simulator(control_port=0) as simulator:
            await submit(simulator)
            async with RawClient(simulator, simulator.gmail, implicit=True) as client:
                await client.log_in(simulator)
                assert (await client.transact(message())).startswith("250")
            assert await asyncio.to_thread(discovered_issuer, simulator) == f"{simulator.authority_url}/v2.0"
            assert (await ask(simulator, "GET", "/state"))[0] == 200
            return len(await simulator.wait_for(2))

    assert uvloop.run(story()) == 2


def discovered_issuer(simulator: Simulator) -> object:
    url = f"{simulator.authority_url}/v2.0/.well-known/openid-configuration"
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, verify=str(simulator.ca_file), timeout=10).json()["issuer"]


async def half_open(simulator: Simulator) -> None:
    """Every way of being in the middle of something when it ends."""
    ports = [
        simulator.gmail.implicit_port,
        simulator.ses.port,
        int(simulator.authority_url.split(":")[2].split("/")[0]),
    ]
    silent = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
    hello = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
    for _, writer in hello:
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    async with RawClient(simulator, simulator.microsoft365) as upgrading, RawClient(simulator, simulator.ses) as mid:
        await upgrading.ask("EHLO relay")
        assert (await upgrading.ask("STARTTLS")).startswith("220")
        await mid.log_in(simulator)
        await mid.ask("MAIL FROM:<a@clinic.test>")
        await mid.ask("RCPT TO:<a@far.test>")
        await mid.ask("DATA")
        mid.send(message())
        begun = time.monotonic()
        await simulator.__aexit__(None, None, None)
        assert time.monotonic() - begun < 2
    for _, writer in silent + hello:
        writer.transport.abort()
    await asyncio.gather(*(writer.wait_closed() for _, writer in silent + hello), return_exceptions=True)
    assert simulator.messages == []


async def distrust(simulator: Simulator) -> None:
    """Clients that don't know the authority, or speak no TLS where it is expected."""
    for port, implicit in ((simulator.gmail.port, False), (simulator.gmail.implicit_port, True)):
        client = aiosmtplib.SMTP(hostname="localhost", port=port, use_tls=implicit, start_tls=not implicit)
        with pytest.raises((aiosmtplib.SMTPConnectError, ssl.SSLError)):
            await client.connect()
        client.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.gmail.implicit_port)
    writer.write(b"EHLO relay\r\n")
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    async with asyncio.timeout(5), RawClient(simulator, simulator.gmail) as client_that_trusts:
        await client_that_trusts.log_in(simulator)


@pytest.mark.parametrize("story", [half_open, distrust])
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_rude_clients_leave_nothing_behind(
    new_loop: Callable[[], asyncio.AbstractEventLoop], story: Callable[[Simulator], Awaitable[None]]
) -> None:
    troubles: list[dict[str, Any]] = []

    async def run_story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, trouble: troubles.append(trouble))
        async with Simulator() as simulator:
            await story(simulator)
        assert simulator.gmail.open_connections == 0
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run_story())
    gc.collect()
    assert troubles == []


@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_closing_while_a_connection_comes_in_leaves_no_socket(
    new_loop: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    async def converse(connection: Connection) -> None:
        await connection.closed.wait()

    async def closed_meanwhile() -> None:
        listener = Listener(converse)
        port = listener.open("127.0.0.1", 0)
        with socket.create_connection(("127.0.0.1", port)):
            for _ in range(turns):
                await asyncio.sleep(0)
            await listener.close()

    with asyncio.Runner(loop_factory=new_loop) as runner, warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always")
        runner.run(closed_meanwhile())
        gc.collect()
    assert [str(one.message) for one in unclosed] == []


async def test_a_taken_port_is_an_os_error_and_leaves_nothing(simulator: Simulator) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        async with Simulator(ses_port=simulator.ses.port):
            pass
    async with Simulator():
        pass


async def test_certificates_are_kept_where_a_directory_is_given(tmp_path: Path) -> None:
    async with Simulator(directory=tmp_path / "kept") as simulator:
        first = simulator.ca_file.read_bytes()
    async with Simulator(directory=tmp_path / "kept") as simulator:
        assert simulator.ca_file.read_bytes() == first
        await submit(simulator)
    async with Simulator(directory=tmp_path / "kept", names=("simulator.clinic.test",)) as simulator:
        assert simulator.ca_file.read_bytes() != first, "another name needs another leaf"
        assert simulator.authority_url.startswith("https://simulator.clinic.test:")
    assert sorted(file.name for file in (tmp_path / "kept").iterdir()) == ["ca.pem", "leaf.pem"]


async def test_the_tables_for_a_relay_toml(simulator: Simulator) -> None:
    upstreams = tomllib.loads(relay_toml(simulator, more="retry = 1"))["upstream"]
    assert set(upstreams) == {"office365", "gmail", "ses"}
    office365 = upstreams["office365"]
    assert office365["type"] == "microsoft365"
    assert office365["port"] == simulator.microsoft365.port
    assert office365["authority"] == simulator.authority_url
    assert office365["may_send_as"] == ["lab@clinic.test"]
    assert environment(simulator)[office365["client_secret"]["env"]] == simulator.client_secret
    assert upstreams["gmail"]["app_password"].keys() == {"env"}
    assert all(table["retry"] == 1 for table in upstreams.values())

    [named] = tomllib.loads(relay_toml(simulator, "ses", names={"ses": "a b"}, secrets="file"))["upstream"].items()
    assert named[0] == "a b"
    assert Path(named[1]["password"]["file"]).read_text() == simulator.ses_password  # noqa: ASYNC240


async def test_every_message_is_told_to_listeners(simulator: Simulator) -> None:
    told: list[ReceivedMessage] = []
    simulator.received.listeners.append(told.append)
    await submit(simulator)
    assert told == simulator.messages


async def test_failures_by_control(simulator: Simulator) -> None:
    status, said = await ask(simulator, "POST", "/faults", {"name": "rejected", "times": 1})
    assert (status, said["stage"], said["times_left"]) == (201, "final", 1)
    status, said = await ask(simulator, "GET", "/faults")
    assert [one["name"] for one in said["active"]] == ["rejected"]
    assert said["known"]["smtp_auth_disabled_tenant"] == {"provider": "microsoft365", "stage": "auth"}
    status, said = await ask(simulator, "DELETE", "/faults")
    assert said == {"cleared": 1}
    wrong: list[Any] = [{"name": "rejectet"}, {"name": "rejected", "colour": "red"}, {}, [], {"name": 7}]
    for body in wrong:
        status, said = await ask(simulator, "POST", "/faults", body)
        assert status == 400, body
        assert said["error"]


async def test_the_authority_cannot_be_reached_for_a_while(simulator: Simulator) -> None:
    assert await ask(simulator, "POST", "/close/authority") == (200, {"name": "authority", "reachable": False})
    with pytest.raises(requests.ConnectionError):
        await asyncio.to_thread(discovered_issuer, simulator)
    assert (await ask(simulator, "POST", "/reopen/authority"))[0] == 200
    assert await asyncio.to_thread(discovered_issuer, simulator)
    assert (await ask(simulator, "POST", "/close/else"))[0] == 404


async def test_messages_and_state_by_control(simulator: Simulator) -> None:
    await submit(simulator)
    _, listed = await ask(simulator, "GET", "/messages")
    assert [one["reverse_path"] for one in listed] == ["no-reply@clinic.test"]
    assert listed[0]["recipients"] == [{"forward_path": "a@far.test", "parameters": {}}]
    status, content = await ask(simulator, "GET", f"/messages/{listed[0]['id']}")
    assert (status, content) == (200, message())
    _, state = await ask(simulator, "GET", "/state")
    assert (state["messages"], state["logins"], state["violations"]) == (1, 1, [])
    assert await ask(simulator, "DELETE", "/messages") == (200, {"cleared": 1})
    assert await ask(simulator, "POST", "/tokens/expire") == (200, {"expired": 1})
    assert (await ask(simulator, "GET", "/messages/none"))[0] == 404
    assert (await ask(simulator, "POST", "/device", {"user_code": "none"}))[0] == 404
    assert (await ask(simulator, "PUT", "/state"))[0] == 404
    assert b"/faults" in (await ask(simulator, "GET", "/"))[1]


async def test_running_alone_says_what_to_type() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    running = asyncio.create_task(run(Options(control_port=0), said.put_nowait, until=stop))
    async with asyncio.timeout(10):
        text = await said.get()
    assert '[upstream."office365"]' in text
    assert "export SIMULATOR_CLIENT_SECRET=" in text
    assert "/faults" in text
    stop.set()
    await running

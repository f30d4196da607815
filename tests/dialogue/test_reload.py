"""Other settings while connections live."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.inbound.error import InboundError
from tests.dialogue.entrance import Entrance, KnownSecrets, client_context, entrance, settings_from
from tests.dialogue.loops import on_both_loops
from tests.dialogue.visitor import Visitor
from tests.rig.ports import free_port


def tables(*names: str, **keys: object) -> dict[str, object]:
    return {"listener": {name: {"address": f"127.0.0.1:{port}", "security": "none"} for name, port in
            (name.split(":") for name in names)}, **keys}  # fmt: skip


async def apply(at: Entrance, folder: Path, wanted: Mapping[str, object], secrets: KnownSecrets | None = None) -> None:
    await at.listeners.apply(settings_from(wanted, folder), secrets or at.secrets)


@on_both_loops
async def test_listeners_open_and_close_and_connections_live_on(tmp_path: Path) -> None:
    first, second, third = free_port(), free_port(), free_port()
    async with entrance(tmp_path, tables(f"one:{first}", f"two:{second}")) as at:
        living = await Visitor.connect(first)
        await living.hello()
        kept = await Visitor.connect(second)
        await kept.hello()
        await apply(at, tmp_path, tables(f"two:{second}", f"three:{third}"))
        assert [(status.name, status.connections) for status in at.listeners.status()] == [("two", 1), ("three", 0)]
        with pytest.raises(OSError):  # noqa: PT011 - whatever the system calls it
            await asyncio.open_connection("127.0.0.1", first)
        assert (await living.log_in()).startswith("235")
        await kept.expect("NOOP", "250")
        fresh = await Visitor.connect(third)
        await fresh.hello()
        await at.listeners.drain(5)
        assert (await living.reply()).startswith("421 4.3.2")


@on_both_loops
async def test_another_name_for_the_same_address(tmp_path: Path) -> None:
    port = free_port()
    async with entrance(tmp_path, tables(f"one:{port}")) as at:
        living = await Visitor.connect(port)
        await living.hello()
        await apply(at, tmp_path, tables(f"two:{port}"))
        await living.expect("NOOP", "250")
        await (await Visitor.connect(port)).hello()
        await living.expect("QUIT", "221")
        assert await living.ended()
        assert at.counted("relay_connections", listener="two") == 1


@on_both_loops
async def test_clients_and_passwords_count_from_the_next_command(tmp_path: Path) -> None:
    async with entrance(tmp_path, {}) as at:
        visitor = await Visitor.connect(at.port())
        await visitor.hello()
        assert (await visitor.log_in()).startswith("235")
        await visitor.envelope()
        await visitor.expect("RSET", "250")
        other = {"username": "other", "password": {"env": "P"}, "upstream": "isp"}
        await apply(at, tmp_path, {"client": {"other": other}}, KnownSecrets({"P": "new"}))
        # Not 530: a mail server that keeps its connection would bounce all that it has.
        await visitor.expect("MAIL FROM:<a@b.test>", "421 4.7.0")
        assert await visitor.ended()
        fresh = await Visitor.connect(at.port())
        await fresh.hello()
        assert (await fresh.log_in()).startswith("535")
        assert (await fresh.log_in("other")).startswith("535")
        assert (await fresh.log_in("other", "new")).startswith("235")


@on_both_loops
async def test_a_port_that_is_taken_leaves_all_as_it_was(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        taken = foreign.getsockname()[1]
        async with entrance(tmp_path, tables(f"one:{port}")) as at:
            with pytest.raises(InboundError, match=f'listener "two": 127.0.0.1:{taken}: the port is taken'):
                await apply(at, tmp_path, tables(f"two:{taken}", client={}))
            assert [status.name for status in at.listeners.status()] == ["one"]
            visitor = await Visitor.connect(port)
            await visitor.hello()
            assert (await visitor.log_in()).startswith("235")


async def _start(folder: Path, wanted: dict[str, object]) -> None:
    async with entrance(folder, wanted):
        raise AssertionError("it started")


@on_both_loops
async def test_start_names_the_address_and_leaves_nothing_open(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        taken = foreign.getsockname()[1]
        with pytest.raises(InboundError, match=f'listener "two": 127.0.0.1:{taken}'):
            await _start(tmp_path, tables(f"one:{port}", f"two:{taken}"))
        with socket.create_server(("127.0.0.1", port)):
            pass
    with pytest.raises(InboundError, match="does not have that address"):
        await _start(tmp_path, {"listener": {"far": {"address": "192.0.2.1:2525", "security": "none"}}})


@on_both_loops
async def test_tls_comes_and_goes(tmp_path: Path) -> None:
    port = free_port()
    plain = {"listener": {"one": {"address": f"127.0.0.1:{port}", "security": "none"}}}
    encrypted = {"listener": {"one": {"address": f"127.0.0.1:{port}", "security": "implicit"}}}
    async with entrance(tmp_path, plain) as at:
        living = await Visitor.connect(port)
        await living.hello()
        assert at.listeners.certificate_expires_at is None
        await apply(at, tmp_path, encrypted)
        assert at.listeners.certificate_expires_at is not None
        await (await Visitor.connect(port, client_context())).hello()
        await living.expect("NOOP", "250")
        await apply(at, tmp_path, plain)
        await (await Visitor.connect(port)).hello()


@on_both_loops
async def test_every_address(tmp_path: Path) -> None:
    port = free_port()
    async with entrance(tmp_path, {"listener": {"all": {"address": f"*:{port}", "security": "none"}}}) as at:
        await (await Visitor.connect(port)).hello()
        assert at.listeners.status()[0].address == f"*:{port}"
        reader, writer = await asyncio.open_connection("::1", port)
        await Visitor(reader, writer).hello()


_RENAMED = {"upstream": {"ses": {"type": "smtp", "host": "ses.test", "port": 25}}}


@pytest.mark.parametrize("policy", ["rewrite", "reject"])
@pytest.mark.parametrize("said", [[], ["DATA"]])
@on_both_loops
async def test_a_message_that_comes_in_during_a_reload_goes_by_what_is_there_afterwards(
    tmp_path: Path, policy: str, said: list[str]
) -> None:
    client = {"username": "careright", "password": {"env": "P"}, "sender_policy": policy}
    async with entrance(tmp_path, {"client": {"careright": {**client, "upstream": "isp"}}}) as at:
        visitor = await Visitor.connect(at.port())
        await visitor.hello()
        await visitor.log_in()
        await visitor.envelope()
        for command in said:
            await visitor.expect(command, "354")
        await apply(at, tmp_path, {**_RENAMED, "client": {"careright": {**client, "upstream": "ses"}}})
        if not said:
            await visitor.expect("DATA", "354")
        await visitor.expect("From: a@b.test\r\n\r\nbody\r\n.", "250 2.0.0 Ok: queued as")
        [(entry, _)] = await at.messages()
        assert [row.upstream for row in entry.recipients] == ["ses"]


@on_both_loops
async def test_a_message_whose_client_and_upstream_went_meanwhile_is_asked_for_again(tmp_path: Path) -> None:
    async with entrance(tmp_path, {}) as at:
        visitor = await Visitor.connect(at.port())
        await visitor.begin()
        other = {"username": "other", "password": {"env": "P"}, "upstream": "ses"}
        await apply(at, tmp_path, {**_RENAMED, "client": {"other": other}})
        await visitor.expect("From: a@b.test\r\n\r\nbody\r\n.", "451 4.3.2 The configuration has changed")
        assert await at.messages() == []
        assert at.counted("relay_messages_refused_total", listener="door", reason="relay") == 1


@on_both_loops
async def test_starttls_on_a_connection_that_outlived_the_last_listener_with_tls(tmp_path: Path) -> None:
    port = free_port()
    with_tls = {"listener": {"one": {"address": f"127.0.0.1:{port}", "security": "starttls", "require_tls": False}}}
    async with entrance(tmp_path, with_tls) as at:
        living = await Visitor.connect(port)
        await living.hello()
        await apply(at, tmp_path, tables(f"two:{free_port()}"))
        await living.expect("STARTTLS", "220")
        # Nothing in the clear is taken for what TLS protects.
        assert await living.ended()
        assert at.counted("relay_connections", listener="one") == 0

"""TLS in front of and within the conversation: versions, certificates, and what goes wrong with them."""

import asyncio
import shutil
import socket
import ssl
import warnings
from pathlib import Path

import pytest

from relay.inbound.error import InboundError
from relay.inbound.local_authority import LocalAuthority
from tests.dialogue.entrance import Entrance, client_context, entrance
from tests.dialogue.loops import on_both_loops
from tests.dialogue.visitor import Visitor
from tests.rig.certificate import CertificateAuthority


def listener(**keys: object) -> dict[str, object]:
    return {"door": {"address": "127.0.0.1:0", **keys}}


def only(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


async def until(condition: object, what: str) -> None:
    assert callable(condition)
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


@on_both_loops
async def test_implicit_tls_offers_auth_and_no_starttls(tmp_path: Path) -> None:
    async with entrance(tmp_path, {"listener": listener(security="implicit")}) as at:
        visitor = await Visitor.connect(at.port(), client_context())
        assert (await visitor.reply()).startswith("220")
        hello = await visitor.ask("EHLO pc")
        assert "250-AUTH CRAM-MD5 PLAIN LOGIN" in hello
        assert "STARTTLS" not in hello
        await visitor.expect("STARTTLS", "503")
        assert (await visitor.log_in()).startswith("235")
        await visitor.envelope()
        await visitor.expect("DATA", "354")
        assert (await visitor.ask("Subject: x\r\n\r\nbody\r\n.")).startswith("250")
        ((entry, content),) = await at.messages()
        assert entry.message.origin.tls == "TLSv1.3"
        assert b"with ESMTPSA id" in content


@pytest.mark.parametrize(("minimum", "version", "spoken"), [
    ("1.0", ssl.TLSVersion.TLSv1, "TLSv1"),
    ("1.0", ssl.TLSVersion.TLSv1_1, "TLSv1.1"),
    ("1.0", ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ("1.1", ssl.TLSVersion.TLSv1_1, "TLSv1.1"),
    ("1.1", ssl.TLSVersion.TLSv1, None),
    ("1.2", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
    ("1.2", ssl.TLSVersion.TLSv1_1, None),
    ("1.3", ssl.TLSVersion.TLSv1_2, None),
])  # fmt: skip
@on_both_loops
async def test_versions(tmp_path: Path, minimum: str, version: ssl.TLSVersion, spoken: str | None) -> None:
    async with entrance(tmp_path, {"listener": listener(security="implicit", minimum_tls=minimum)}) as at:
        if spoken is None:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await Visitor.connect(at.port(), only(version))
            await until(lambda: at.counted("relay_messages_refused_total", listener="door", reason="tls"), "the count")
        else:
            visitor = await Visitor.connect(at.port(), only(version))
            await visitor.hello()
            assert visitor.writer.get_extra_info("ssl_object").version() == spoken
        await until(lambda: at.listeners.status()[0].connections <= 1, "the slot")


@on_both_loops
async def test_an_old_version_on_one_listener_leaves_the_others_alone(tmp_path: Path) -> None:
    listeners = {
        "old": {"address": "127.0.0.1:0", "security": "starttls", "minimum_tls": "1.0"},
        "new": {"address": "127.0.0.1:0", "security": "implicit"},
    }
    async with entrance(tmp_path, {"listener": listeners}) as at:
        visitor = await Visitor.connect(at.port("old"))
        await visitor.hello()
        await visitor.expect("STARTTLS", "220")
        await visitor.writer.start_tls(only(ssl.TLSVersion.TLSv1))
        assert (await visitor.ask("EHLO pc")).startswith("250")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Visitor.connect(at.port("new"), only(ssl.TLSVersion.TLSv1))


def given(folder: Path, leaf: object) -> dict[str, object]:
    shutil.copy(getattr(leaf, "certificate"), folder / "chain.pem")  # noqa: B009
    shutil.copy(getattr(leaf, "private_key"), folder / "key.pem")  # noqa: B009
    return {"certificate": str(folder / "chain.pem"), "private_key": str(folder / "key.pem")}


async def shown(at: Entrance) -> bytes:
    visitor = await Visitor.connect(at.port(), client_context())
    await visitor.hello()
    certificate = visitor.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert isinstance(certificate, bytes)
    return certificate


@on_both_loops
async def test_changed_files_are_taken_over_and_broken_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.inbound.certificates._WATCHED_EVERY", 0.05)
    authority = CertificateAuthority(tmp_path / "authority")
    tls = given(tmp_path, authority.leaf("localhost"))
    async with entrance(tmp_path, {"tls": tls, "listener": listener(security="implicit")}) as at:
        first = await shown(at)
        living = await Visitor.connect(at.port(), client_context())
        await living.hello()
        second = authority.leaf("localhost")
        # The certificate alone: it doesn't fit the key, and the one before stays.
        shutil.copy(second.certificate, tmp_path / "chain.pem")
        await asyncio.sleep(0.3)
        assert await shown(at) == first
        (tmp_path / "key.pem").write_text("nonsense")
        await asyncio.sleep(0.3)
        assert await shown(at) == first
        expires = at.listeners.certificate_expires_at
        shutil.copy(second.private_key, tmp_path / "key.pem")
        for _ in range(200):
            if await shown(at) != first:
                break
            await asyncio.sleep(0.02)
        assert await shown(at) != first
        assert expires is not None
        assert (await living.ask("NOOP")).startswith("250")


@on_both_loops
async def test_a_certificate_that_cannot_be_used_is_told_at_start(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "authority")
    tls = given(tmp_path, authority.leaf("localhost"))
    shutil.copy(authority.leaf("localhost").private_key, tmp_path / "key.pem")
    with pytest.raises(InboundError, match="one pair"):
        async with entrance(tmp_path, {"tls": tls, "listener": listener(security="implicit")}):
            pass


@on_both_loops
async def test_the_local_authority_is_trusted_for_every_name(tmp_path: Path) -> None:
    async with entrance(tmp_path, {"listener": listener(security="implicit")}) as at:
        context = ssl.create_default_context(cafile=str(LocalAuthority.of(tmp_path).certificate))
        for name in ("127.0.0.1", "localhost", "relay.test", socket.gethostname()):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port(), ssl=context, server_hostname=name)
            await Visitor(reader, writer).hello()


@on_both_loops
async def test_endings_during_a_handshake_give_the_slot_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.inbound.listener._HANDSHAKE_TIMEOUT", 0.3)
    async with entrance(tmp_path, {"listener": listener(security="starttls", idle_timeout="1s")}) as at:
        silent = await Visitor.connect(at.port())
        await silent.hello()
        await silent.expect("STARTTLS", "220")
        gone = await Visitor.connect(at.port())
        await gone.hello()
        await gone.expect("STARTTLS", "220")
        gone.hang_up()
        babbling = await Visitor.connect(at.port())
        await babbling.hello()
        await babbling.expect("STARTTLS", "220")
        babbling.say("EHLO pc", "MAIL FROM:<a@b.test>")
        distrusting = await Visitor.connect(at.port())
        await distrusting.hello()
        await distrusting.expect("STARTTLS", "220")
        with pytest.raises(ssl.SSLCertVerificationError):
            await distrusting.writer.start_tls(ssl.create_default_context(), server_hostname="localhost")
        await until(lambda: at.listeners.status()[0].connections == 0, "all slots")
        assert at.counted("relay_connections", listener="door") == 0
        assert await silent.ended()


@pytest.mark.parametrize("security", ["implicit", "starttls"])
@on_both_loops
async def test_a_load_balancers_probe_is_not_worth_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, security: str
) -> None:
    async with entrance(tmp_path, {"listener": listener(security=security)}) as at:
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", at.port())
            writer.close()
            await writer.wait_closed()
        last = await Visitor.connect(at.port(), client_context() if security == "implicit" else None)
        await last.hello()
        await last.close()
        await until(lambda: at.listeners.status()[0].connections == 0, "the slots")
        assert at.counted("relay_messages_refused_total", listener="door", reason="tls") == 0
        assert [record.getMessage() for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


@on_both_loops
async def test_why_a_handshake_failed_is_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with entrance(tmp_path, {"listener": listener(security="implicit")}) as at:
        plain = await Visitor.connect(at.port())
        plain.say("EHLO pc")
        await until(lambda: at.counted("relay_messages_refused_total", listener="door", reason="tls"), "the count")
        assert at.counted("relay_messages_refused_total", listener="door", reason="tls") == 1
        assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []

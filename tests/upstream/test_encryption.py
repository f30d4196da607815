"""TLS: demanded, verified, never given up."""

import asyncio
import ssl
import warnings
from pathlib import Path

import pytest
import trustme

from relay.upstream.contract import Cause, Phase
from relay.upstream.credentials import Password
from tests.rig.certificate import CertificateAuthority, Leaf
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.upstream.offering import MESSAGE, Cleared, envelope, smarthost
from tests.upstream.raw import raw_server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def leaf(authority: CertificateAuthority) -> Leaf:
    return authority.leaf()


@pytest.mark.parametrize("security", ["starttls", "implicit"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_trusted_server(security: str, host: str, leaf: Leaf) -> None:
    with ScriptedServer(security=security, leaf=leaf, users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "word"), ca_file=leaf.authority, host=host) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert said.phase is Phase.DONE
    [taken] = server.transactions
    assert (taken.tls, taken.login, taken.content) == (True, "clinic", MESSAGE.octets)


@pytest.mark.parametrize(("security", "phase"), [("starttls", Phase.STARTTLS), ("implicit", Phase.CONNECT)])
async def test_an_untrusted_server_gets_no_password(security: str, phase: Phase, leaf: Leaf) -> None:
    with ScriptedServer(security=security, leaf=leaf, users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "word")) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
            assert (said.phase, said.cause) == (phase, Cause.TLS_UNTRUSTED)
            assert said.reply
            assert said.reply.transient
            assert "certificate" in said.reply.text
            assert upstream.connections == 0
    assert not [command for command in server.commands if command.startswith(("AUTH", "MAIL"))]


@pytest.mark.parametrize(("security", "phase"), [("starttls", Phase.STARTTLS), ("implicit", Phase.CONNECT)])
async def test_a_certificate_for_another_name(security: str, phase: Phase, authority: CertificateAuthority) -> None:
    other = authority.leaf("mail.other.test")
    with ScriptedServer(security=security, leaf=other) as server:
        async with smarthost(server, ca_file=authority.path) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
        assert (said.phase, said.cause) == (phase, Cause.TLS_UNTRUSTED)
        async with smarthost(server, verify="none") as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
        assert said.phase is Phase.DONE


async def test_starttls_that_is_not_offered_is_not_done_without() -> None:
    with ScriptedServer(users={"clinic": "word"}) as server:
        async with smarthost(server, Password("clinic", "word"), security="starttls") as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.cause) == (Phase.STARTTLS, Cause.STARTTLS_MISSING)
    assert [command.split()[0] for command in server.commands] == ["EHLO", "QUIT"]


@pytest.mark.parametrize("text", ["454 4.7.0 TLS not available", "554 5.7.0 Never"])
async def test_starttls_refused(text: str, leaf: Leaf) -> None:
    with ScriptedServer(security="starttls", leaf=leaf) as server:
        server.script.then("STARTTLS", text)
        async with smarthost(server, ca_file=leaf.authority) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, str(said.reply), said.cause) == (Phase.STARTTLS, text, None)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [(Answer(None, close=True), Cause.DISCONNECTED), (Answer("hm"), Cause.GARBLED), (Answer(None), Cause.TIMEOUT)],
    ids=["close", "garbled", "silence"],
)
async def test_starttls_without_an_answer(answer: Answer, cause: Cause, leaf: Leaf) -> None:
    with ScriptedServer(security="starttls", leaf=leaf) as server:
        server.script.then("STARTTLS", answer)
        async with smarthost(server, ca_file=leaf.authority, timeout=0.2) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.cause) == (Phase.STARTTLS, cause)


@pytest.mark.parametrize("injected", [b"250 2.0.0 Ok\r\n", b"250-half"])
async def test_data_behind_the_reply_to_starttls_is_not_believed(injected: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 raw.test\r\n")
        await reader.readline()
        writer.write(b"250-raw.test\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go ahead\r\n" + injected)
        await reader.read()

    async with raw_server(talk) as server, smarthost(server, security="starttls") as upstream:
        said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.cause) == (Phase.STARTTLS, Cause.GARBLED)


async def test_a_plain_server_where_tls_is_expected() -> None:
    with ScriptedServer() as server:
        async with smarthost(server, security="implicit") as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.cause) == (Phase.CONNECT, Cause.TLS_FAILED)


async def test_a_server_that_never_finishes_the_handshake() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with raw_server(talk) as server, smarthost(server, security="implicit", timeout=0.2) as upstream:
        said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert (said.phase, said.cause) == (Phase.CONNECT, Cause.TIMEOUT)


async def test_tls_below_1_2_is_refused(leaf: Leaf) -> None:
    with ScriptedServer(security="starttls", leaf=leaf) as server:
        assert server.tls is not None
        server.tls.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            server.tls.minimum_version = ssl.TLSVersion.TLSv1
            server.tls.maximum_version = ssl.TLSVersion.TLSv1_1
        async with smarthost(server, ca_file=leaf.authority) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
    assert said.phase is Phase.STARTTLS
    # asyncio's server may hang up before its alert has gone out.
    assert said.cause in {Cause.TLS_FAILED, Cause.DISCONNECTED}


async def test_a_client_certificate(leaf: Leaf, tmp_path: Path) -> None:
    ours = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = ours.issue_cert("relay.clinic.test", key_type=trustme.KeyType.ECDSA)
    pem = tmp_path / "client.pem"
    pem.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    with ScriptedServer(security="starttls", leaf=leaf) as server:
        assert server.tls is not None
        server.tls.verify_mode = ssl.CERT_REQUIRED
        ours.configure_trust(server.tls)
        async with smarthost(server, ca_file=leaf.authority, client_certificate=pem) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
        assert said.phase is Phase.DONE
        async with smarthost(server, ca_file=leaf.authority) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
        assert said.phase < Phase.MAIL
        assert said.cause in {Cause.TLS_FAILED, Cause.DISCONNECTED}


async def test_files_that_cannot_be_read(leaf: Leaf, tmp_path: Path) -> None:
    with ScriptedServer(security="starttls", leaf=leaf) as server:
        (tmp_path / "empty.pem").touch()
        for name in ("missing.pem", "empty.pem"):
            async with smarthost(server, ca_file=tmp_path / name) as upstream:
                said = await upstream.send(envelope(), MESSAGE, Cleared())
            assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)


async def test_a_changed_ca_file_is_read_again(authority: CertificateAuthority, leaf: Leaf, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(CertificateAuthority(tmp_path / "other").path.read_bytes())
    with ScriptedServer(security="starttls", leaf=leaf) as server:
        async with smarthost(server, ca_file=ca_file) as upstream:
            said = await upstream.send(envelope(), MESSAGE, Cleared())
            assert said.cause is Cause.TLS_UNTRUSTED
            ca_file.write_bytes(authority.path.read_bytes() + b"\n")
            said = await upstream.send(envelope(), MESSAGE, Cleared())
            assert said.phase is Phase.DONE

"""What goes wrong between Relay and a server: names, ports, TLS, firewalls, clocks, proxies; played on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

from tests.rig.certificate import CertificateAuthority, Leaf
from tests.rig.odd import OddServer, Talk
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.simulated import microsoft365_upstream
from tests.rig.toml import Value
from tests.scenario.failures import providers, proxies
from tests.scenario.failures.refusing_tls import RefusingTls
from tests.scenario.failures.scene import Scene
from tests.scenario.failures.table import Failure

NOWHERE = "224.0.0.1"
"""A multicast address: the system refuses to connect to it, and sends nothing."""

Play = Callable[[Scene], dict[str, Value]]


def play(failure: Failure, scene: Scene) -> dict[str, Value]:
    """Let a failure happen to whoever uses the upstream that is returned."""
    if failure.name.startswith("authority_") and failure.name not in PLAYS:
        return providers.play(failure, scene)
    return PLAYS[failure.name](scene)


def _to(port: int, scene: Scene, **keys: Value) -> dict[str, Value]:
    place = {"type": "smtp", "host": "localhost", "port": port, "security": "starttls", "timeout": "1s"}
    return {**place, "ca_file": str(scene.authority.path), **keys}


def _server(scene: Scene, *talks: Talk, **options: object) -> ScriptedServer:
    made = OddServer(*talks, **options) if talks else ScriptedServer(**options)  # type: ignore[arg-type]
    return scene.exits.enter_context(made)


def _elsewhere(**keys: Value) -> Play:
    return lambda scene: _to(587, scene) | keys


def _closed(scene: Scene) -> dict[str, Value]:
    bound = scene.exits.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return _to(bound.getsockname()[1], scene, host="127.0.0.1")


def _dropped(scene: Scene) -> dict[str, Value]:
    """A listener whose queue is full: the system drops what else would connect (listen(2))."""
    full = scene.exits.enter_context(socket.socket())
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    for _ in range(4):
        one = scene.exits.enter_context(socket.socket())
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    return _to(full.getsockname()[1], scene, host="127.0.0.1")


def _showing(leaf: Callable[[Scene], Leaf]) -> Play:
    return lambda scene: _to(_server(scene, security="starttls", leaf=leaf(scene)).port, scene)


def _of_nobody(scene: Scene) -> Leaf:
    return CertificateAuthority(scene.folder / "nobody").leaf()


def _old_tls(scene: Scene) -> ssl.SSLContext:
    context = scene.authority.leaf().server_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _wants_certificate(scene: Scene) -> ssl.SSLContext:
    context = scene.authority.leaf().server_context()
    context.load_verify_locations(scene.authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _refusing_tls(context: Callable[[Scene], ssl.SSLContext]) -> Play:
    return lambda scene: _to(scene.exits.enter_context(RefusingTls(context(scene))).port, scene)


async def _hangs_up_in_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 odd.test\r\n")
    for reply in (b"250-odd.test\r\n250 STARTTLS\r\n", b"220 2.0.0 Go ahead\r\n"):
        await reader.readline()
        writer.write(reply)
    await reader.read(100)
    writer.transport.abort()


def _answering(stage: str, answer: Answer | str, **options: object) -> Play:
    def play_it(scene: Scene) -> dict[str, Value]:
        server = _server(scene, **options)
        server.script.always(stage, answer)
        return _to(server.port, scene, security="none")

    return play_it


def _as_it_is(spoken: str, **keys: Value) -> Play:
    """A server that lets TLS begin as told, met by an upstream that expects something else."""

    def play_it(scene: Scene) -> dict[str, Value]:
        leaf = None if spoken == "none" else scene.authority.leaf()
        return _to(_server(scene, security=spoken, leaf=leaf).port, scene, **keys)

    return play_it


def _refusing_starttls(scene: Scene) -> dict[str, Value]:
    server = _server(scene, security="starttls", leaf=scene.authority.leaf())
    server.script.always("STARTTLS", "454 4.7.0 TLS not available due to temporary reason")
    return _to(server.port, scene)


async def _web_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>Bad Request</html>\r\n")
    await reader.read(1)


async def _masked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What is left of a server behind a firewall that looks into SMTP (Cisco's esmtp inspection)."""
    writer.write(b"220 *************************************************\r\n")
    await reader.readline()
    writer.write(b"250-mail.isp.test\r\n250-SIZE 35882577\r\n250-XXXXXXXA\r\n250 XXXB\r\n")
    await reader.read(100)


def _saying(talk: Talk, **keys: Value) -> Play:
    return lambda scene: _to(_server(scene, *[talk] * 20).port, scene, **keys)


def _login_not_offered(scene: Scene) -> dict[str, Value]:
    scene.environ["ISP_PASSWORD"] = "word"
    login: dict[str, Value] = {"username": "clinic", "password": {"env": "ISP_PASSWORD"}}
    return _to(_server(scene).port, scene, security="none", **login)


def _microsoft365(scene: Scene, mailbox: str, authority: str) -> dict[str, Value]:
    simulator = scene.simulator(mailbox=f"{mailbox}@clinic.test")
    scene.environ["CLIENT_SECRET"] = simulator.client_secret
    keys: dict[str, Value] = {"credential": "client_secret", "client_secret": {"env": "CLIENT_SECRET"}}
    return microsoft365_upstream(simulator, **keys) | {"authority": authority}


def _authority_away(scene: Scene) -> dict[str, Value]:
    bound = scene.exits.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return _microsoft365(scene, "authority_unreachable", f"https://127.0.0.1:{bound.getsockname()[1]}/clinic.test")


def _authority_inspected(scene: Scene) -> dict[str, Value]:
    """The firewall's certificate is of an authority of its own."""
    return _microsoft365(scene, "authority_inspected", scene.simulator("firewall").authority_url)


def _authority_of_tomorrow(scene: Scene) -> dict[str, Value]:
    server = _server(scene, security="implicit", leaf=scene.authority.leaf(begins_in=1))
    found = _microsoft365(scene, "authority_clock_behind", f"https://localhost:{server.port}/clinic.test")
    both = scene.folder / "both.pem"
    both.write_bytes(scene.authority.path.read_bytes() + Path(found["ca_file"]).read_bytes())
    return found | {"ca_file": str(both)}


PLAYS: dict[str, Play] = {
    "name_not_found": _elsewhere(host="mail.clinic.invalid"),
    "name_too_long": _elsewhere(host=f"{'mail' * 16}.clinic.invalid"),
    "port_closed": _closed,
    "port_dropped": _dropped,
    "port_25_blocked": _elsewhere(host=NOWHERE, port=25),
    "no_network": _elsewhere(host=NOWHERE),
    "certificate_of_nobody": _showing(_of_nobody),
    "certificate_of_another_name": _showing(lambda scene: scene.authority.leaf("mail.other.test")),
    "certificate_expired": _showing(lambda scene: scene.authority.leaf(expired=True)),
    "clock_behind": _showing(lambda scene: scene.authority.leaf(begins_in=1)),
    "tls_of_yesteryear": _refusing_tls(_old_tls),
    "client_certificate_wanted": _refusing_tls(_wants_certificate),
    "cut_off_in_tls": _saying(_hangs_up_in_tls),
    "plain_where_tls_was_expected": _as_it_is("none", security="implicit"),
    "tls_where_plain_was_expected": _as_it_is("implicit"),
    "closed_at_greeting": _answering("CONNECT", Answer(None, close=True)),
    "reset_at_greeting": _answering("CONNECT", Answer(None, reset=True)),
    "closed_at_mail": _answering("MAIL", Answer(None, close=True)),
    "silent_at_mail": _answering("MAIL", Answer(None, delay=30)),
    "web_server": _saying(_web_page),
    "starttls_not_offered": _as_it_is("none"),
    "inspected_by_a_firewall": _saying(_masked),
    "starttls_refused": _refusing_starttls,
    "no_service": _answering("CONNECT", "554 5.3.2 No SMTP service here"),
    "blocked_address": _answering(
        "CONNECT", "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org"
    ),
    "auth_not_offered": _login_not_offered,
    "no_answer_at_the_end": _answering("BODY", Answer(None, close=True)),
    **proxies.PLAYS,
    "authority_unreachable": _authority_away,
    "authority_inspected": _authority_inspected,
    "authority_clock_behind": _authority_of_tomorrow,
}

"""`relay doctor` on the way to the greeting: names, ports, TLS and certificates that are wrong."""

import json
import socket
from pathlib import Path

import pytest

from tests.rig.certificate import CertificateAuthority
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.scenario.test_doctor import examined, failed_step, marks_of, not_running, settings_with


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


def _isp(port: int, authority: CertificateAuthority, **more: Value) -> dict[str, Value]:
    return {
        "type": "smtp",
        "host": "localhost",
        "port": port,
        "security": "starttls",
        "ca_file": str(authority.path),
        "timeout": "2s",
        **more,
    }


TLS_FAILS = "configuration+ dns+ port+ greeting+ tls- ehlo? mail? rcpt? rset?"


@pytest.mark.parametrize(
    ("names", "expired", "part"),
    [
        (("mail.other.test",), False, "not for the name localhost"),
        ((), True, "has expired"),
    ],
)
def test_wrong_certificates(
    authority: CertificateAuthority, tmp_path: Path, names: tuple[str, ...], expired: bool, part: str
) -> None:
    with ScriptedServer(security="starttls", leaf=authority.leaf(*names, expired=expired)) as server:
        found = examined(not_running(tmp_path, settings_with([], isp=_isp(server.port, authority))))
    assert marks_of(found) == TLS_FAILS
    assert part in failed_step(found)["cause"]


def test_an_authority_that_nobody_trusts(authority: CertificateAuthority, tmp_path: Path) -> None:
    other = CertificateAuthority(tmp_path / "other")
    with ScriptedServer(security="starttls", leaf=other.leaf()) as server:
        found = examined(not_running(tmp_path, settings_with([], isp=_isp(server.port, authority))))
    assert marks_of(found) == TLS_FAILS
    assert "made by an authority that this machine does not trust" in failed_step(found)["cause"]


def test_names_ports_and_security_that_are_wrong(authority: CertificateAuthority, tmp_path: Path) -> None:
    with socket.socket() as closed, ScriptedServer() as plain:
        closed.bind(("127.0.0.1", 0))
        with ScriptedServer(security="implicit", leaf=authority.leaf()) as implicit:
            upstreams = {
                "name": _isp(587, authority, host="mail.clinic.invalid"),
                "port": _isp(closed.getsockname()[1], authority),
                "plain": _isp(plain.port, authority, security="implicit"),
                "silent": _isp(implicit.port, authority, timeout="1s"),
                "good": _isp(plain.port, authority, security="none"),
            }
            relay = not_running(tmp_path, settings_with(["clinic@clinic.test"], **upstreams))
            told = relay.command("doctor", "--json")
            for_people = relay.command("doctor", "good", "port")
    assert told.returncode == 1, told.stderr
    name, port, wrong, silent, good = json.loads(told.stdout)
    assert marks_of(name) == "configuration+ dns- port? greeting? tls? ehlo? mail? rcpt? rset?"
    assert "DNS does not know the name mail.clinic.invalid" in failed_step(name)["cause"]
    assert marks_of(port) == "configuration+ dns+ port- greeting? tls? ehlo? mail? rcpt? rset?"
    assert "nothing listens on port" in failed_step(port)["cause"]
    assert marks_of(wrong) == "configuration+ dns+ port+ tls- greeting? ehlo? mail? rcpt? rset?"
    assert 'port 587 or 25 with security = "starttls"' in "\n".join(failed_step(wrong)["actions"])
    assert marks_of(silent) == "configuration+ dns+ port+ greeting- tls? ehlo? mail? rcpt? rset?"
    assert 'security = "implicit"' in "\n".join(failed_step(silent)["actions"])
    assert marks_of(good) == "configuration+ dns+ port+ greeting+ ehlo+ mail+ rcpt+ rset+"
    assert for_people.returncode == 1
    lines = for_people.stdout.splitlines()
    assert lines.index("good: all is well") < lines.index("port: something is wrong")
    assert any(line.split() == ["ok", "rset", "taken", "back:", "nothing", "was", "sent"] for line in lines)
    assert any(line.startswith("  FAILED       port") for line in lines)
    assert any(line.split() == ["not", "reached", "tls"] for line in lines)
    assert "Who must act: IT person" in for_people.stdout
    assert "\x1b" not in for_people.stdout
    assert not plain.accepted

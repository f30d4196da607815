"""Nothing secret in any output, in the log at its most talkative, or in a file outside the sealed store."""

import base64
import secrets
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relay.config.seal import STORE
from relay.simulator.simulator import Simulator
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.secrecy import found_in
from tests.rig.simulated import SimulatorThread, cloud_of
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.rig.webhook import WebhookServer
from tests.scenario.secretive import OPTIONS, Clinic, Servers, secretive_clinic

_FAULTS: dict[str, dict[str, Value]] = {
    "token_refused": {"times": 4},
    "aadsts7000215": {"times": 2},
    "authority_garbled": {"times": 1},
    "managed_identity_500": {"times": 1},
    "google_revoked": {"times": 1},
    "gmail_password_refused": {"times": 2},
}


@pytest.fixture
def cloud() -> Iterator[SimulatorThread]:
    running = SimulatorThread(**OPTIONS)
    yield running
    running.close()


@pytest.mark.timeout(300)
def test_nothing_secret_is_told_or_kept(
    cloud: SimulatorThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = _overheard(cloud.simulator, monkeypatch)
    seal_key = base64.b64encode(secrets.token_bytes(32)).decode()
    with (
        ScriptedServer(mechanisms=("PLAIN", "LOGIN")) as isp,
        ScriptedServer() as echoing,
        WebhookServer() as hook,
    ):
        servers = Servers(cloud_of(cloud.simulator), cloud.simulator.ses.port, isp, echoing, hook)
        clinic = secretive_clinic(servers, tmp_path, seal_key)
        relay = RelayProcess(tmp_path / "relay", clinic.settings, clinic.environ)
        said = {"sealing": _said(relay, "secret", "set", "gmail", text=OPTIONS["gmail_app_password"])}
        with relay:
            said["login"] = _said(relay, "login", "device_code")
            _live_through(clinic, relay, cloud, hook)
            said |= _everything_typed(relay, clinic)
            said["metrics"] = relay.http("/metrics")[1].encode()
            _reload_with_a_secret(relay, clinic)
            process = relay.process
            assert process is not None
            proc = Path(f"/proc/{process.pid}")
            said["command line"] = proc.joinpath("cmdline").read_bytes()
            assert "Max core file size        0 " in proc.joinpath("limits").read_text()
            assert relay.terminate() == 0
        said["log"] = relay.log_text().encode()
        said["environment of a child"] = (tmp_path / "environment").read_bytes()
    clinic.secrets |= {f"token {at}": token for at, token in enumerate(tokens)}
    clinic.secrets |= {f"refresh token {at}": token for at, token in enumerate(_refresh_tokens(cloud.simulator))}
    assert len(tokens) > 10, "a token of each kind, and some again"
    kept = {str(path): path.read_bytes() for path in relay.state_dir.rglob("*") if path.is_file()}
    assert {"queue.db", STORE} <= {Path(name).name for name in kept}
    found = found_in(said | kept, clinic.secrets)
    assert not found, "\n".join(found)


def _overheard(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every access token that is issued from now on, as it is issued."""
    heard: list[str] = []
    for issuer, method in ((simulator.tokens, "_issue"), (simulator.google, "_access_token")):
        issue = getattr(issuer, method)

        def overheard(*asked: Value, issue: Value = issue) -> str:
            token: str = issue(*asked)
            heard.append(token)
            return token

        monkeypatch.setattr(issuer, method, overheard)
    return heard


def _refresh_tokens(simulator: Simulator) -> list[str]:
    return [*simulator.entra._refresh_tokens, *simulator.google._refresh_tokens]


def _live_through(clinic: Clinic, relay: RelayProcess, cloud: SimulatorThread, hook: WebhookServer) -> None:
    """Good conversations, then wrong passwords and failures of every upstream, alerts among them."""
    for name in clinic.working:
        _send(relay, name, clinic.clients[name])
    relay.wait_for_event("relayed", count=len(clinic.working), seconds=60)
    for name in clinic.clients:
        _log_in_wrongly(relay, name, clinic)
    hook.answers.extend([(500, "X", "y")] * 2)

    def fail(simulator: Simulator) -> None:
        for name, changes in _FAULTS.items():
            simulator.faults.set(name, **changes)
        simulator.tokens.expire()
        simulator.google.expire()
        simulator.microsoft365.hang_up()
        simulator.gmail.hang_up()

    cloud.do(fail)
    for name, password in clinic.clients.items():
        _send(relay, name, password)
    wait_until(lambda: len({line["upstream"] for line in relay.log("held")}) >= 4, "held upstreams", 60)
    wait_until(lambda: relay.metric("relay_upstream_up", upstream="proxied") == 0, "a proxy that fails", 60)
    wait_until(lambda: hook.posts, "an alert by webhook", 60)


def _plain(name: str, password: str) -> str:
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


def _send(relay: RelayProcess, name: str, password: str) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        assert connection.docmd("AUTH", f"PLAIN {_plain(name, password)}")[0] == 235
        sender = "clinic@gmail.test" if name in ("gmail", "refresh_token") else "no-reply@clinic.test"
        content = f"From: <{sender}>\r\nSubject: x\r\n\r\nHello\r\n".encode()
        assert connection.sendmail(sender, ["patient@example.test"], content) == {}


def _log_in_wrongly(relay: RelayProcess, name: str, clinic: Clinic) -> None:
    """As people and programs do: with what is nearly right, in the wrong order, and where it does not belong."""
    right = clinic.clients[name]
    wrong = clinic.secrets[f"wrong password of {name}"] = f"{right}-mistyped"
    encoded = base64.b64encode(wrong.encode()).decode()
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        assert connection.docmd("AUTH", f"PLAIN {_plain(name, right)}")[0] == 503, "before EHLO"
        connection.ehlo()
        assert connection.docmd("AUTH", f"PLAIN {_plain(name, wrong)}")[0] == 535
        assert connection.docmd("AUTH", f"LOGIN {base64.b64encode(name.encode()).decode()}")[0] == 334
        assert connection.docmd(encoded)[0] == 535
        assert connection.docmd("AUTH", f"PLAIN {_plain(name, right)[:-3]}")[0] == 501, "cut off"
        assert connection.docmd("AUTH", f"XOAUTH2 {encoded}")[0] == 504
        assert connection.docmd(encoded)[0] == 500, "a password where a command is expected"
        assert connection.docmd("AUTH", f"PLAIN {_plain(name, right)}")[0] == 235


def _everything_typed(relay: RelayProcess, clinic: Clinic) -> dict[str, bytes]:
    """What each command prints on both streams, by what was typed."""
    clinic.secrets["typed by mistake"] = mistyped = "Typed-w0rd-by-mistake"
    first = relay.log("accepted")[0]["id"]
    held = [line["reply"] for line in relay.log("held")]
    typed: list[tuple[str, ...]] = [
        ("check",),
        ("check", "--form"),
        ("status",),
        ("status", "--json"),
        ("queue", "list"),
        ("queue", "list", "--json"),
        ("queue", "show", relay.log("accepted")[-1]["id"]),
        ("queue", "retry", "--all"),
        ("trace", first),
        ("trace", "--json"),
        ("trace", "--csv"),
        ("trace", "--all", "--json"),
        ("capture", "list"),
        ("capture", "show", first),
        ("capture", "export", str(relay.folder / "kept.mbox")),
        ("queue", "hold", "--upstream", "echoing"),
        ("queue", "release", "--upstream", "echoing"),
        ("queue", "reroute", first, "isp"),
        ("spool", "salvage"),
        ("doctor",),
        ("doctor", "client_secret", "echoing", "untrusted", "proxied", "--json"),
        ("secret", "list"),
        ("settings", "isp"),
        ("settings", "device_code", "--json"),
        ("setup", "microsoft365", "client_secret"),
        ("setup", "gmail"),
        ("setup", "ses"),
        ("setup",),
        ("secret", "remove", "nothing"),
        ("certificate",),
        ("spool", "check"),
        ("clients", "seen"),
        ("serve",),
        ("login", "isp"),
        ("queue", "bogus"),
        ("secret", "set", "gmail", mistyped),
        ("secret", "set", "gmail", f"--value={mistyped}"),
        ("test", "gmail", "--to", "patient@example.test"),
        ("test", "proxied", "--to", "patient@example.test"),
        ("test", "echoing", "--to", "patient@example.test", "--json"),
        ("explain", held[-1]),
    ]
    with ThreadPoolExecutor(3) as fingers:
        printed = fingers.map(lambda words: _said(relay, *words), typed)
        return {" ".join(words): octets for words, octets in zip(typed, printed, strict=True)}


def _said(relay: RelayProcess, *words: str, text: str | None = None) -> bytes:
    done = relay.command(*words, text=text)
    assert done.returncode in (0, 1, 2), done.stderr
    assert "this is a defect" not in done.stderr
    return (done.stdout + done.stderr).encode()


def _reload_with_a_secret(relay: RelayProcess, clinic: Clinic) -> None:
    """SIGHUP, with a secret in clear text in the file."""
    clinic.secrets["clear text"] = clear = "Clear-w0rd-in-the-file"
    upstream = clinic.settings["upstream"]
    relay.write_config(
        clinic.settings | {"upstream": upstream | {"echoing": upstream["echoing"] | {"password": clear}}}
    )
    relay.reload()
    assert "clear text" in relay.wait_for_event("reload_refused")[0]["text"]
    relay.write_config(clinic.settings)

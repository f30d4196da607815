"""Mail and tokens by proxies that we did not write: what their own logs say of it, and what ours say where it fails."""

import json
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.aws import ses_api_upstream, user_variables
from tests.rig.message import RECIPIENT, clinic_message
from tests.rig.proxies import KINDS, PASSWORD, USERNAME, Microsocks, Proxy, Rules, Tinyproxy
from tests.rig.relay import RelayProcess
from tests.rig.simulated import SimulatorThread, graph_upstream, microsoft365_upstream
from tests.rig.toml import Value
from tests.rig.waiting import wait_until

pytestmark = pytest.mark.peer

NAME = "smtp.behind-the-proxy.test"
"""The simulator's. No resolver knows it but the proxy's."""

WRONG = "not-passepartout-77"
NOWHERE = "http://127.0.0.1:9"
ENVIRONMENT = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"), NOWHERE)
STEPS = "configuration dns port proxy greeting tls token ehlo auth mail rcpt rset"


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatorThread]:
    """Microsoft 365 and its authority, under a name that only proxies find."""
    running = SimulatorThread(names=(NAME,))
    yield running
    running.close()


@pytest.fixture(params=["http with a password", "http", "socks5 with a password", "socks5"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """One of each."""
    kind = KINDS[request.param.split()[0]]
    with kind(Rules(login="password" in request.param, names=(NAME,))) as running:
        yield running


def office365(cloud: SimulatorThread, proxy: Proxy, **more: Value) -> dict[str, Value]:
    """An upstream behind a proxy."""
    keys: dict[str, Value] = {"credential": "client_secret", "client_secret": {"env": "CLIENT_SECRET"}}
    return microsoft365_upstream(cloud.simulator, **(keys | proxy.keys() | more))


def relay_for(
    folder: Path, cloud: SimulatorThread, upstream: dict[str, Value], password: str = PASSWORD, **client: Value
) -> RelayProcess:
    """A relay with this one upstream and one client."""
    settings: dict[str, Value] = {
        "listener": {"submission": {"security": "none"}},
        "client": {"clinic": {"networks": ["127.0.0.0/8"], "upstream": "office365", **client}},
        "upstream": {"office365": upstream},
        "queue": {"retry_first": "200ms", "retry_most": "500ms", "jitter": 0.0},
        "log": {"level": "debug"},
    }
    environ = {"CLIENT_SECRET": cloud.simulator.client_secret, "PROXY_PASSWORD": password, **ENVIRONMENT}
    return RelayProcess(folder / "relay", settings, environ)


def submit(relay: RelayProcess, cloud: SimulatorThread) -> str:
    """Send a message; return the answer to its final dot."""
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
        connection.ehlo()
        connection.mail(cloud.simulator.mailbox)
        connection.rcpt(RECIPIENT)
        code, text = connection.data(clinic_message())
    return f"{code} {text.decode()}"


def arrived(cloud: SimulatorThread) -> int:
    """Messages that Microsoft 365 took so far."""
    return len(cloud.simulator.messages)


def json_of(relay: RelayProcess, *arguments: str) -> Any:
    """What a command says with --json."""
    return json.loads(relay.command(*arguments, "--json").stdout)


def test_mail_and_token_go_by_the_proxy(cloud: SimulatorThread, proxy: Proxy, tmp_path: Path) -> None:
    simulator, before, tokens = cloud.simulator, arrived(cloud), cloud.simulator.token_requests
    with relay_for(tmp_path, cloud, office365(cloud, proxy)) as relay:
        checked = relay.command("check")
        assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr
        submit(relay, cloud)
        wait_until(lambda: arrived(cloud) == before + 1, "the message")
        assert simulator.token_requests == tokens + 1
        # The token's document and the token itself may take a connection each; mail takes one.
        assert 1 <= proxy.times_connected(NAME, simulator.authority.port) <= 2
        assert proxy.times_connected(NAME, simulator.microsoft365.port) == 1
        found = json_of(relay, "doctor", "office365")
        assert " ".join(step["name"] for step in found["steps"]) == STEPS
        assert found["ok"], found
        details = {step["name"]: step["detail"] for step in found["steps"]}
        assert details["dns"].startswith("127.0.0.1 ")
        assert details["port"] == f"127.0.0.1 port {proxy.port}"
        assert details["proxy"].startswith(proxy.url)
        assert NAME in details["proxy"]
        assert proxy.times_connected(NAME, simulator.microsoft365.port) == 2
        tried = json_of(relay, "test", "office365", "--to", "it@clinic.test")
        assert tried["ok"], tried
        assert arrived(cloud) == before + 2
        assert relay.terminate() == 0
        assert PASSWORD not in relay.log_text() + json.dumps([found, tried])


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_holds_the_upstream_until_it_is_right(
    cloud: SimulatorThread, kind: str, tmp_path: Path
) -> None:
    place, before = tmp_path / "password", arrived(cloud)
    place.write_text(WRONG)
    with KINDS[kind](Rules(names=(NAME,))) as proxy:
        upstream = office365(cloud, proxy, proxy_password={"file": str(place)})
        with relay_for(tmp_path, cloud, upstream) as relay:
            place.chmod(0o600)
            message = submit(relay, cloud).rpartition(" ")[2]
            [held] = relay.wait_for_event("held")[:1]
            assert (held["upstream"], held["reason"]) == ("office365", "secret")
            assert f"The proxy {proxy.url} refuses our login" in held["reply"]
            status = json_of(relay, "status")["upstreams"][0]
            assert (status["state"], status["reason"]) == ("held", "secret")
            told = [relay.command("explain", what).stdout for what in ("office365", message, held["reply"])]
            for text in told:
                assert f"The proxy {proxy.url} wants a user name and a password" in text, text
                assert "Who must act: IT person" in text
                assert f"proxy_username ({USERNAME})" in text
                assert f"write it to {place}" in text
                assert '[upstream."office365"]' in text
            found = json_of(relay, "doctor", "office365")
            failed = {step["name"]: step for step in found["steps"] if step["result"] == "failed"}
            assert failed.keys() - {"message"} == {"token", "proxy"}
            assert {step["title"] for step in failed.values()} == {"The proxy refuses our login"}
            tried = relay.command("test", "office365", "--to", "it@clinic.test")
            assert tried.returncode == 1
            assert "proxy login refused" in tried.stdout
            traced = relay.command("trace", message).stdout
            assert arrived(cloud) == before
            place.write_text(PASSWORD)
            wait_until(lambda: arrived(cloud) == before + 1, "the message, after the password was corrected")
            relay.wait_for_event("relayed")
            assert relay.log("failed") == []
            shown = relay.log_text() + json.dumps([found, status]) + "".join(told) + tried.stdout + traced
            for password in (WRONG, PASSWORD):
                assert password not in shown


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_is_down_costs_no_mail(cloud: SimulatorThread, kind: str, tmp_path: Path) -> None:
    before = arrived(cloud)
    with KINDS[kind](Rules(names=(NAME,))) as proxy, relay_for(tmp_path, cloud, office365(cloud, proxy)) as relay:
        submit(relay, cloud)
        wait_until(lambda: arrived(cloud) == before + 1, "the first message")
        relay.terminate()
        proxy.interrupt()
        relay.start()
        for _ in range(3):
            assert submit(relay, cloud).startswith("250 ")
        [deferred] = relay.wait_for_event("deferred")[:1]
        assert f"The proxy {proxy.url} cannot be reached: connection refused" in deferred["reply"]
        upstream = json_of(relay, "status")["upstreams"][0]
        assert upstream["state"] == "unreachable"
        assert proxy.url in upstream["reason"]
        said = relay.command("explain", "office365").stdout
        assert f"nc -vz 127.0.0.1 {proxy.port}" in said
        found = json_of(relay, "doctor")
        assert next(step["name"] for step in found["steps"] if step["result"] == "failed") == "port"
        proxy.start()
        wait_until(lambda: arrived(cloud) == before + 4, "the others, after the proxy came back")
        assert wait_until(lambda: len(relay.log("relayed")) >= 4, "the log")
        assert relay.log("failed") == []


@pytest.mark.parametrize(
    ("kind", "rules", "behind", "title", "part"),
    [
        (
            Tinyproxy,
            Rules(only_ports=(443,), names=(NAME,)),
            True,
            "The proxy does not allow it",
            "ConnectPort 443, ConnectPort",
        ),
        (Tinyproxy, Rules(admits=False, names=(NAME,)), True, "The proxy does not allow it", "403 Forbidden"),
        (Tinyproxy, Rules(), True, "The proxy can't reach the server", f"nc -vz {NAME}"),
        (Microsocks, Rules(), True, "The proxy can't reach the server", f"nc -vz {NAME}"),
        (Microsocks, Rules(names=(NAME,)), False, "The proxy can't reach the server", "connection refused"),
        (Tinyproxy, Rules(names=(NAME,)), False, "The proxy can't reach the server", "500 Internal Server Error"),
    ],
    ids=["port not allowed", "client not allowed", "unknown name", "unknown name, SOCKS", "refused, SOCKS", "refused"],
)
def test_what_a_proxy_refuses_is_explained(
    cloud: SimulatorThread, tmp_path: Path, kind: type[Proxy], rules: Rules, behind: bool, title: str, part: str
) -> None:
    with kind(rules) as proxy:
        more: dict[str, Value] = {} if behind else {"port": 9}
        relay = relay_for(tmp_path, cloud, office365(cloud, proxy, **more))
        found = json_of(relay, "doctor")
    failed = {step["name"]: step for step in found["steps"] if step["result"] == "failed"}
    assert failed.keys() == ({"token", "proxy"} if behind else {"proxy"})
    assert failed["proxy"]["title"] == title
    assert part in "\n".join([failed["proxy"]["reply"], *failed["proxy"]["actions"]])
    assert all(step["result"] == "ok" for step in found["steps"] if step["name"] in {"configuration", "dns", "port"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_kind_of_proxy_is_told_from_this_one(cloud: SimulatorThread, kind: str, tmp_path: Path) -> None:
    other = {"http": "socks5", "socks5": "http"}[kind]
    with KINDS[kind](Rules(names=(NAME,))) as proxy:
        upstream = proxy.keys(type="smtp", host=NAME, timeout="1s") | {"proxy": proxy.url.replace(kind, other)}
        found = json_of(relay_for(tmp_path, cloud, upstream), "doctor")
    [failed] = [step for step in found["steps"] if step["result"] == "failed"]
    title = {"http": "The proxy keeps us waiting", "socks5": "What answers is no such proxy"}[kind]
    assert (failed["name"], failed["title"]) == ("proxy", title)


def test_the_certificate_is_still_looked_at_for_the_upstreams_name(cloud: SimulatorThread, tmp_path: Path) -> None:
    with Tinyproxy(Rules(names=(NAME, "smtp.other.test"))) as proxy:
        relay = relay_for(tmp_path, cloud, office365(cloud, proxy, host="smtp.other.test"))
        found = json_of(relay, "doctor")
    failed = next(step for step in found["steps"] if step["result"] == "failed")
    assert (failed["name"], failed["title"]) == ("tls", "The certificate is for another name")


@pytest.mark.parametrize("kind", KINDS)
def test_direct_delivery_with_tls_from_the_start(cloud: SimulatorThread, kind: str, tmp_path: Path) -> None:
    simulator, before = cloud.simulator, arrived(cloud)
    with KINDS[kind](Rules(names=(NAME,))) as proxy:
        upstream: dict[str, Value] = {
            "type": "gmail",
            "host": NAME,
            "port": simulator.gmail.implicit_port,
            "security": "implicit",
            "ca_file": str(simulator.ca_file),
            "username": simulator.gmail_user,
            "app_password": {"env": "APP_PASSWORD"},
            **proxy.keys(),
        }
        relay = relay_for(tmp_path, cloud, upstream, delivery="direct")
        relay.environ["APP_PASSWORD"] = simulator.gmail_app_password
        with relay:
            assert submit(relay, cloud).startswith("250 2.0.0 OK")
            assert arrived(cloud) == before + 1
            assert simulator.gmail.implicit_port is not None
            assert proxy.times_connected(NAME, simulator.gmail.implicit_port) == 1
            proxy.interrupt()
            relay.restart()
            answer = submit(relay, cloud)
            assert answer.startswith("451 4.")
            assert f"The proxy {proxy.url} cannot be reached" in answer


@pytest.mark.parametrize("api", ["ses", "graph"])
def test_mail_by_an_api_goes_by_the_proxy(cloud: SimulatorThread, api: str, tmp_path: Path) -> None:
    simulator, before = cloud.simulator, arrived(cloud)
    with Tinyproxy(Rules(names=(NAME,))) as proxy:
        secret: dict[str, Value] = {"credential": "client_secret", "client_secret": {"env": "CLIENT_SECRET"}}
        upstream = (
            ses_api_upstream(simulator, **proxy.keys())
            if api == "ses"
            else graph_upstream(simulator, **secret, **proxy.keys())
        )
        relay = relay_for(tmp_path, cloud, upstream)
        relay.environ |= user_variables(simulator)
        with relay:
            submit(relay, cloud)
            wait_until(lambda: arrived(cloud) == before + 1, "the message")
            assert proxy.times_connected(NAME, int(str(upstream["port"]))) >= 1
            found = json_of(relay, "doctor")
            assert found["ok"], found
            assert "proxy" in [step["name"] for step in found["steps"]]
            proxy.interrupt()
            relay.restart()
            submit(relay, cloud)
            [deferred] = relay.wait_for_event("deferred")[:1]
            assert f"The proxy {proxy.url} cannot be reached: connection refused" in deferred["reply"]
            found = json_of(relay, "doctor")
            assert next(step["name"] for step in found["steps"] if step["result"] == "failed") == "port"
            proxy.start()
            wait_until(lambda: arrived(cloud) == before + 2, "the second message")


@pytest.mark.parametrize("kind", KINDS)
def test_graph(cloud: SimulatorThread, kind: str, tmp_path: Path) -> None:
    simulator, before = cloud.simulator, arrived(cloud)
    with KINDS[kind](Rules(login=True, names=(NAME,))) as proxy:
        upstream = office365(cloud, proxy, via="graph", port=simulator.authority.port)
        with relay_for(tmp_path, cloud, upstream) as relay:
            submit(relay, cloud)
            wait_until(lambda: arrived(cloud) == before + 1, "the message")
            # The token, and the message with its upload.
            assert proxy.times_connected(NAME, simulator.authority.port) >= 2
            doctor = json.loads(relay.command("doctor", "office365", "--json").stdout)
            told = doctor[0] if isinstance(doctor, list) else doctor
            assert told["ok"], told
            assert [step["name"] for step in told["steps"]][:5] == ["configuration", "dns", "port", "proxy", "tls"]


@pytest.mark.parametrize("kind", KINDS)
def test_signing_in_goes_by_the_proxy(cloud: SimulatorThread, kind: str, tmp_path: Path) -> None:
    simulator, before = cloud.simulator, arrived(cloud)
    with KINDS[kind](Rules(names=(NAME,))) as proxy:
        upstream = office365(cloud, proxy, credential="device_code")
        del upstream["client_secret"]
        relay = relay_for(tmp_path, cloud, upstream)
        line = [sys.executable, "-m", "relay", "login", "office365", "--config", str(relay.config)]
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=relay.environ) as login:
            assert login.stdout is not None
            url, code = [login.stdout.readline().strip() for _ in range(3)][1:]
            assert url.startswith("https://")
            cloud.do(lambda one: one.entra.device_codes.approve(code, one.mailbox))
            assert login.wait(30) == 0
        assert proxy.times_connected(NAME, simulator.authority.port) >= 1
        with relay:
            submit(relay, cloud)
            wait_until(lambda: arrived(cloud) == before + 1, "the message")

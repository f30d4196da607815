"""People are told by mail and by webhook: before a certificate ends, at 80 % of a day, when an upstream is held."""

from __future__ import annotations

import json
import shutil
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.rig.certificate import CertificateAuthority
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.rig.webhook import PATH, WebhookServer
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.test_relays import send

DAY = 86_400


def _alerts() -> dict[str, Value]:
    return {"to": ["it@clinic.test"], "webhook": {"env": "HOOK"}}


def _subjects(provider: ScriptedServer) -> list[str]:
    mails = [message_from_bytes(one.content, policy=policy.default) for one in provider.accepted]
    return [str(mail["Subject"]) for mail in mails if mail["Auto-Submitted"]]


def _posted(hook: WebhookServer) -> list[tuple[str, str]]:
    return [(post.shape["event"], post.shape["what"]) for post in hook.posts]


def _looked_again(relay: RelayProcess) -> None:
    """Return once the relay has been started anew, and has shown what ends."""
    relay.terminate()
    relay.start()
    relay.wait_for_event("started", 2)
    assert relay.command("status").returncode == 0


def test_a_certificate_that_ends_in_five_days(
    provider: ScriptedServer, start_relay: StartRelay, tmp_path: Path
) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    leaf, successor = authority.leaf(days=5.5), authority.leaf(days=300.5)
    with WebhookServer(authority.leaf()) as hook:
        settings = plain_settings(provider.port) | {
            "listener": {"submission": {"security": "starttls"}},
            "tls": {"certificate": str(leaf.certificate), "private_key": str(leaf.private_key)},
            "alerts": _alerts(),
        }
        relay = start_relay(settings, {"HOOK": hook.url, "SSL_CERT_FILE": str(authority.path)})
        shape = hook.wait_for(1)[0].shape
        assert (shape["event"], shape["what"], shape["reason"]) == ("expiring", "tls", "certificate")
        assert (shape["host"], shape["upstream"]) == ("relay.clinic.test", None)
        assert "in 5 days" in shape["text"]
        assert any("[tls]" in step for step in shape["actions"])
        provider.wait_for(1)
        [subject] = _subjects(provider)
        assert subject.startswith("Relay: tls ends on ")

        [ending] = json.loads(relay.command("status", "--json").stdout)["expiring"]
        assert (ending["what"], ending["kind"], ending["days"]) == ("tls", "certificate", 5)
        assert any(line.split("\t")[:3] == ["tls", "certificate", "5"] for line in _lines(relay, "status"))
        assert relay.metric("relay_secret_expires_seconds", what="tls") == pytest.approx(5.5 * DAY, abs=120)

        _looked_again(relay)
        assert _posted(hook) == [("expiring", "tls")]

        # Renewed in place, as a tool does it, and then once more for a short time.
        for path, new in ((leaf.private_key, successor.private_key), (leaf.certificate, successor.certificate)):
            shutil.copy(new, path)
        hook.wait_for(2)
        provider.wait_for(2)
        assert _posted(hook) == [("expiring", "tls"), ("renewed", "tls")]
        assert _subjects(provider) == [subject, "Relay: tls was renewed"]
        wait_until(
            lambda: relay.metric("relay_secret_expires_seconds", what="tls") > 300 * DAY, "the metric of the new one"
        )


def _lines(relay: RelayProcess, command: str) -> list[str]:
    return relay.command(command).stdout.splitlines()


def test_an_upstream_that_is_held_and_its_end(start_relay: StartRelay) -> None:
    with ScriptedServer(users={"clinic": "right"}) as provider, WebhookServer() as hook:
        provider.script.always("AUTH", "535 5.7.8 clinic@clinic.test may not log in")
        settings = plain_settings(provider.port) | {"alerts": _alerts()}
        settings["upstream"]["provider"] |= {"username": "clinic", "password": {"env": "PASSWORD"}}
        relay = start_relay(settings, {"HOOK": hook.url, "PASSWORD": "right"})
        send(relay)
        send(relay)
        shape = hook.wait_for(1)[0].shape
        assert (shape["event"], shape["upstream"], shape["reason"]) == ("held", "provider", "auth")
        assert shape["reply"] == "535 5.7.8 c***@clinic.test may not log in"
        status = json.loads(relay.command("status", "--json").stdout)
        [held] = status["upstreams"]
        assert {key: shape[key] for key in ("title", "actor", "link")} == {
            key: held["diagnosis"][key] for key in ("title", "actor", "link")
        }
        assert shape["since"][:19] == held["since"][:19]

        _looked_again(relay)
        provider.script.well_again()
        provider.wait_for(2)
        over = hook.wait_for(2)[1].shape
        assert (over["event"], over["upstream"], over["reason"]) == ("over", "provider", "auth")
        assert (over["since"], over["actions"]) == (shape["since"], [])
        wait_until(lambda: _subjects(provider) == ["Relay: provider works again"], "the mail")
        assert [event for event, _ in _posted(hook)] == ["held", "over"]
        assert PATH not in relay.log_text()


def test_most_of_a_day_is_used(provider: ScriptedServer, start_relay: StartRelay) -> None:
    with WebhookServer() as hook:
        settings = plain_settings(provider.port) | {"alerts": _alerts()}
        settings["upstream"]["provider"] |= {"recipients_per_day": 20, "recipients_per_message": 10}
        relay = start_relay(settings, {"HOOK": hook.url})
        send(relay, *(f"{number}@far.test" for number in range(9)))
        send(relay, *(f"{number}@far.test" for number in range(7)))
        shape = hook.wait_for(1)[0].shape
        assert (shape["event"], shape["upstream"], shape["reason"]) == ("quota", "provider", "recipients_per_day")
        assert "16 of 20 recipients per day" in shape["text"]
        provider.wait_for(3)
        assert _subjects(provider) == ["Relay: provider has used 16 of 20 recipients per day"]
        _looked_again(relay)
        assert _posted(hook) == [("quota", "provider")]


def test_a_webhook_that_is_down_keeps_no_mail_back(provider: ScriptedServer, start_relay: StartRelay) -> None:
    with ScriptedServer(users={"clinic": "right"}) as other, WebhookServer() as hook:
        hook.answers.append((503, "", ""))
        other.script.always("AUTH", "535 5.7.8 No")
        settings = plain_settings(provider.port) | {"alerts": _alerts()}
        settings["client"]["clinic"]["upstream"] = ["other"]
        login = {"port": other.port, "username": "clinic", "password": {"env": "PASSWORD"}}
        settings["upstream"]["other"] = settings["upstream"]["provider"] | login
        relay = start_relay(settings, {"HOOK": hook.url, "PASSWORD": "right"})
        send(relay)
        provider.wait_for(1)
        assert _subjects(provider) == ["Relay: other is held (auth)"]
        assert "answered HTTP 503" in relay.wait_for_event("webhook_failed")[0]["text"]
        assert hook.wait_for(1)[0].shape["event"] == "held"
        relay.wait_for_event("webhook_posted")


def test_a_webhook_that_is_no_url(provider: ScriptedServer, start_relay: StartRelay) -> None:
    relay = start_relay(plain_settings(provider.port))
    relay.write_config(plain_settings(provider.port) | {"alerts": _alerts()})
    relay.environ["HOOK"] = "hook.clinic.test/SECRET"
    found = relay.command("check")
    assert found.returncode == 2
    assert 'alerts.webhook: { env = "HOOK" }: no URL of the web; copy it anew, it begins with https://' in found.stderr
    assert "SECRET" not in found.stderr + found.stdout
    relay.environ["HOOK"] = "https://hook.clinic.test/SECRET"
    assert relay.command("check").returncode == 0

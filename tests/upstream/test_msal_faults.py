"""What msal 1.39 does that would cost mail or a secret, each with the proof that it does not here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import requests

from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from tests.upstream.clinic import Clinic

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
def clinic(tmp_path: Path, simulator: Simulator) -> Clinic:
    return Clinic(tmp_path, simulator)


@contextlib.contextmanager
def requested(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, object]]]:
    """Note every URL that is asked for, and the time-out it is given."""
    seen: list[tuple[str, object]] = []
    send = requests.Session.send

    def noted(self: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        seen.append((str(request.url), options.get("timeout")))
        return send(self, request, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(requests.Session, "send", noted)
        yield seen


async def test_no_instance_discovery_and_no_request_without_a_timeout(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By itself msal asks login.microsoftonline.com about an authority that it doesn't know, and waits for ever.
    with requested(monkeypatch) as seen:
        assert (await clinic.sent_once()).phase is Phase.DONE
    assert len(seen) == 2
    for url, timeout in seen:
        assert url.startswith(clinic.simulator.authority_url)
        assert timeout is not None


async def test_the_environments_ca_bundle_and_proxy_count_for_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    # msal's `verify` gives way to REQUESTS_CA_BUNDLE without a word.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "/nonexistent")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    assert (await clinic.sent_once()).phase is Phase.DONE


async def test_building_an_application_keeps_nobody_else_waiting(clinic: Clinic) -> None:
    # Its constructor asks the network; here in a thread, while the loop goes on.
    clinic.simulator.faults.set("authority_slow", stage="openid", seconds=0.5)
    turns = 0
    sending = asyncio.create_task(clinic.sent_once())
    while not sending.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert (await sending).phase is Phase.DONE
    assert turns > 10


async def test_a_kept_token_needs_no_application(clinic: Clinic) -> None:
    # A relay that starts while the authority is down: building an application would fail, the token still holds.
    assert (await clinic.sent_once()).phase is Phase.DONE
    await clinic.simulator.authority.close()
    assert (await clinic.sent_once()).phase is Phase.DONE


async def test_a_short_lived_token_is_kept(clinic: Clinic) -> None:
    # msal never caches one of less than five minutes, and would ask for each message.
    clinic.simulator.tokens.lifetime = 240
    for _ in range(3):
        assert (await clinic.sent_once()).phase is Phase.DONE
    assert clinic.simulator.token_requests == 1


@pytest.mark.parametrize("fault", ["authority_500", "authority_503", "authority_429", "authority_down"])
async def test_an_early_renewal_that_fails_costs_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    # msal raises MsalServiceError for a 5xx although it has a token that holds.
    from relay.upstream import tokens

    assert (await clinic.sent_once()).phase is Phase.DONE
    monkeypatch.setattr(tokens, "renewal_at", lambda token: 0)
    clinic.simulator.faults.set(fault)
    assert (await clinic.sent_once()).phase is Phase.DONE
    assert clinic.simulator.token_requests == 2, "it was tried"


async def test_a_refusal_is_not_remembered(clinic: Clinic) -> None:
    # msal gives the same answer of HTTP 400 for a minute, whatever has been corrected meanwhile.
    clinic.simulator.faults.set("aadsts70011", times=1)
    assert (await clinic.sent_once()).cause is Cause.TOKEN_REFUSED
    assert (await clinic.sent_once()).phase is Phase.DONE


async def test_a_pause_asked_for_is_ours_not_msals(clinic: Clinic) -> None:
    # msal takes 429 and 5xx for five seconds' silence of its own; another upstream of the same tenant is not silenced.
    clinic.simulator.faults.set("authority_429", times=1)
    upstream, other = clinic.upstream(), clinic.upstream()
    assert (await clinic.sent(upstream)).cause is Cause.TOKEN_UNAVAILABLE
    assert (await clinic.sent(upstream)).cause is Cause.TOKEN_UNAVAILABLE
    assert clinic.simulator.token_requests == 1, "the pause is heeded"
    assert (await clinic.sent(other)).phase is Phase.DONE
    await upstream.aclose()
    await other.aclose()


async def test_eight_at_once_are_one_request(clinic: Clinic) -> None:
    # Eight threads on msal's cold cache are eight requests.
    upstream = clinic.upstream()
    sent = await asyncio.gather(*(clinic.sent(upstream) for _ in range(8)))
    await upstream.aclose()
    assert {said.phase for said in sent} == {Phase.DONE}
    assert clinic.simulator.token_requests == 1


async def test_a_tenant_that_does_not_exist_has_words(clinic: Clinic) -> None:
    # msal raises a bare ValueError with a URL in it.
    clinic.simulator.faults.set("authority_tenant_not_found")
    said = await clinic.sent_once()
    assert said.cause is Cause.TOKEN_REFUSED
    assert said.reply is not None
    assert "AADSTS90002" in said.reply.text


async def test_nothing_of_msals_is_told_even_when_everything_is(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    # Its results hold access, refresh and identity tokens, and its debug lines what was asked.
    caplog.set_level(logging.DEBUG)
    assert (await clinic.sent_once()).phase is Phase.DONE
    clinic.simulator.faults.set("aadsts7000215")
    clinic.simulator.tokens.expire()
    await clinic.sent_once()
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "eyJ" not in told
    assert clinic.simulator.client_secret not in told


def test_msal_is_imported_only_when_a_token_is_asked_for() -> None:
    code = "import relay.upstream.construction, sys; print('msal' in sys.modules, 'boto3' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]

"""Managed identity: tokens from the machine in Azure on which relay runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from relay.upstream.managed_identity import resource_of
from tests.upstream.clinic import Clinic

IDENTITY = "77777777-7777-8888-9999-000000000000"


@pytest.fixture
async def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clinic]:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    async with Simulator() as simulator:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", simulator.entra.origin)
        made = Clinic(tmp_path, simulator)
        made.with_credential('credential = "managed_identity"')
        yield made


async def test_the_machines_own_identity(clinic: Clinic) -> None:
    upstream = clinic.upstream()
    sent = await asyncio.gather(*(clinic.sent(upstream) for _ in range(8)))
    assert {said.phase for said in sent} == {Phase.DONE}
    assert (clinic.simulator.managed_identity.requests, clinic.simulator.token_requests) == (1, 0)
    assert upstream.token_expires_at is not None
    await upstream.aclose()
    clinic.simulator.faults.set("managed_identity_down")
    assert (await clinic.sent_once()).phase is Phase.DONE, "the token is kept"


async def test_app_service(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{clinic.simulator.entra.origin}/metadata/identity/oauth2/token")
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    monkeypatch.setenv("IDENTITY_HEADER", clinic.simulator.managed_identity.header)
    assert (await clinic.sent_once()).phase is Phase.DONE


async def test_an_identity_assigned_by_a_person(clinic: Clinic) -> None:
    assert (await clinic.sent_once()).phase is Phase.DONE
    clinic.with_credential(f'credential = "managed_identity"\nidentity = "{IDENTITY}"')
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED), "another identity has another token"
    assert said.reply
    assert said.reply.text == "Identity not found (invalid_request)"
    clinic.simulator.managed_identity.user_assigned.add(IDENTITY)
    assert (await clinic.sent_once()).phase is Phase.DONE


@pytest.mark.parametrize(
    ("fault", "text"), [("managed_identity_down", "cannot be reached"), ("managed_identity_500", "answered HTTP 500")]
)
async def test_an_endpoint_that_is_not_well(clinic: Clinic, fault: str, text: str) -> None:
    clinic.simulator.faults.set(fault)
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)
    assert said.reply
    host = "the managed identity endpoint, which machines in Azure have,"
    assert said.reply.text == f"No access token from {host} now: it {text}"
    clinic.simulator.faults.clear()
    assert (await clinic.sent_once()).phase is Phase.DONE


async def test_a_machine_that_is_not_in_azure(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)


async def test_a_token_that_exchange_refuses_is_asked_for_once_more(clinic: Clinic) -> None:
    assert (await clinic.sent_once()).phase is Phase.DONE
    clinic.simulator.tokens.expire()
    assert (await clinic.sent_once()).phase is Phase.DONE
    assert clinic.simulator.managed_identity.requests == 2


@pytest.mark.parametrize(
    ("scope", "resource"),
    [
        ("https://outlook.office365.com/.default", "https://outlook.office365.com"),
        ("https://partner.outlook.cn/.default", "https://partner.outlook.cn"),
        ("api://relay", "api://relay"),
    ],
)
def test_the_resource_of_a_scope(scope: str, resource: str) -> None:
    assert resource_of(scope) == resource

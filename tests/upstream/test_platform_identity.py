"""Who vouches for a machine: AWS's outbound federation, EKS, Azure's webhook, Container Apps and Azure Arc."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msal import managed_identity as msal_identity  # type: ignore[import-untyped]

from relay.simulator.federation import Issuer
from relay.simulator.http_server import HttpServer
from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from tests.rig.aws import user_variables
from tests.upstream.clinic import Clinic


@pytest.fixture
async def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clinic]:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    async with Simulator() as simulator:
        yield Clinic(tmp_path, simulator)


async def test_an_assertion_that_aws_makes(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = clinic.simulator
    aws = {
        "AWS_REGION": simulator.options.ses_region,
        "AWS_ENDPOINT_URL_STS": simulator.aws_url,
        "AWS_CA_BUNDLE": str(simulator.ca_file),
    }
    for name, value in (user_variables(simulator) | aws).items():
        monkeypatch.setenv(name, value)
    clinic.with_credential('credential = "federated"\nassertion = { aws = "api://AzureADTokenExchange" }')
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)
    assert said.reply is not None
    assert "outbound identity federation is off in this AWS account" in said.reply.text
    issuer = await asyncio.to_thread(Issuer, "https://aws-1234.tokens.sts.global.api.aws.test")
    simulator.aws.sts.issuer = issuer
    simulator.entra.federation.trust(issuer, simulator.aws.account.role_arn)
    assert (await clinic.sent_once()).phase is Phase.DONE
    assert simulator.aws.sts.requests == 2


async def test_an_assertion_that_aws_refuses(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = clinic.simulator
    clinic.with_credential('credential = "federated"\nassertion = { aws = "api://AzureADTokenExchange" }')
    simulator.aws.account.denied.add("sts:GetWebIdentityToken")
    base = user_variables(simulator) | {"AWS_ENDPOINT_URL_STS": simulator.aws_url}
    base |= {"AWS_REGION": simulator.options.ses_region, "AWS_CA_BUNDLE": str(simulator.ca_file)}
    cases: list[tuple[dict[str, str | None], str]] = [
        ({}, "allow sts:GetWebIdentityToken to this role"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "AWS does not take the credentials: the secret access key or the clock"),
        ({"AWS_REGION": ""}, "set AWS_REGION"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "AWS credentials were not found"),
        ({"AWS_CA_BUNDLE": None}, "AWS STS cannot be reached (SSLError)"),
    ]
    for changes, text in cases:
        for name, value in (base | changes).items():
            monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
        said = await clinic.sent_once()
        assert said.cause is Cause.SECRET_UNAVAILABLE
        assert said.reply is not None
        assert text in said.reply.text


@pytest.mark.parametrize("variable", ["AZURE_FEDERATED_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"])
async def test_a_pods_projected_token(clinic: Clinic, variable: str) -> None:
    simulator = clinic.simulator
    issuer = await asyncio.to_thread(Issuer)
    simulator.entra.federation.trust(issuer, "system:serviceaccount:mail:relay")
    token = clinic.folder / "projected-token"
    token.write_text(issuer.assertion("system:serviceaccount:mail:relay"))
    clinic.environ = clinic.environ | {variable: str(token), "AZURE_CLIENT_ID": simulator.client_id}
    clinic.with_credential('credential = "federated"')
    clinic.replaced[f'client_id = "{simulator.client_id}"'] = ""
    assert (await clinic.sent_once()).phase is Phase.DONE
    # The kubelet writes another one before it ends.
    token.write_text(issuer.assertion("system:serviceaccount:mail:another"))
    simulator.tokens.expire()
    said = await clinic.sent_once()
    assert said.phase is Phase.TOKEN
    assert said.reply is not None
    assert "AADSTS700213" in said.reply.text


async def test_container_apps(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    # Container Apps and App Service answer on plain HTTP, on the machine itself.
    server = HttpServer(clinic.simulator.managed_identity.answer)
    await server.open("127.0.0.1", 0)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", clinic.simulator.managed_identity.header)
    clinic.with_credential('credential = "managed_identity"')
    assert (await clinic.sent_once()).phase is Phase.DONE
    identity = "77777777-7777-8888-9999-000000000000"
    clinic.simulator.managed_identity.user_assigned.add(identity)
    clinic.replaced['credential = "managed_identity"'] = f'credential = "managed_identity"\nidentity = "{identity}"'
    assert (await clinic.sent_once()).phase is Phase.DONE
    await server.close()


async def test_azure_arc(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    simulator, folder = clinic.simulator, tmp_path / "tokens"
    folder.mkdir()
    monkeypatch.setitem(msal_identity._supported_arc_platforms_and_their_prefixes, "linux", str(folder))
    simulator.managed_identity.arc_folder = folder
    server = HttpServer(simulator.managed_identity.answer)
    await server.open("127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.port}/metadata/identity/oauth2/token"
    monkeypatch.setenv("IDENTITY_ENDPOINT", url)
    monkeypatch.setenv("IMDS_ENDPOINT", f"http://127.0.0.1:{server.port}")
    clinic.with_credential('credential = "managed_identity"')
    assert (await clinic.sent_once()).phase is Phase.DONE
    assert (folder / "relay.key").exists(), "the challenge was met"
    simulator.tokens.expire()
    monkeypatch.setitem(msal_identity._supported_arc_platforms_and_their_prefixes, "linux", str(tmp_path / "else"))
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)
    assert said.reply is not None
    assert said.reply.text.endswith("(No such file or directory); put relay's user into the group himds")
    await server.close()

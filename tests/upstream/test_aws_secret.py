"""Secrets of AWS Secrets Manager, by real boto3, from the simulator, which checks the signature."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.config.aws_secret import aws_secret
from relay.config.problems import ConfigError
from relay.simulator.simulator import Simulator
from tests.rig.aws import machine_variables, user_variables


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator() as made:
        found = user_variables(made) | {
            "AWS_REGION": made.options.ses_region,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": made.aws_url,
            "AWS_CA_BUNDLE": str(made.ca_file),
        }
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        made.aws.secrets_manager.secrets |= {
            "relay/ses": '{"smtp_password": "hunter2"}',
            "plain": "text",
            "octets": b"\0",
        }
        yield made


@pytest.mark.parametrize(("name", "key", "text"), [("relay/ses", "smtp_password", "hunter2"), ("plain", None, "text")])
async def test_a_secret(simulator: Simulator, name: str, key: str | None, text: str) -> None:
    assert await asyncio.to_thread(aws_secret, name, key) == text
    assert simulator.aws.secrets_manager.requests == 1


async def test_as_the_machines_role(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name, value in machine_variables(simulator).items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(aws_secret, "plain", None) == "text"
    assert simulator.aws.account.sessions == 1


@pytest.mark.parametrize(
    ("name", "variables", "text", "passing"),
    [
        ("absent", {}, "absent: AWS knows no such secret; check its name and region", False),
        ("octets", {}, "octets: holds octets, not text; store it as a text", False),
        (
            "plain",
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            "plain: AWS does not take the credentials: the secret access key or the clock is wrong",
            True,
        ),
        ("plain", {"AWS_ACCESS_KEY_ID": "AKIAOTHER"}, "plain: AWS does not take the credentials (Unrecognized", True),
        (
            "plain",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "plain: AWS credentials were not found",
            True,
        ),
        ("plain", {"AWS_REGION": ""}, "plain: the region is not known; set AWS_REGION, or write its ARN", False),
    ],
)
async def test_what_goes_wrong(
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    variables: dict[str, str],
    text: str,
    passing: bool,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as failed:
        await asyncio.to_thread(aws_secret, name, None)
    assert str(failed.value).startswith(text)
    assert failed.value.passing is passing


async def test_without_the_right(simulator: Simulator) -> None:
    simulator.aws.account.denied.add("secretsmanager:GetSecretValue")
    with pytest.raises(ConfigError, match="AWS denies it; allow secretsmanager:GetSecretValue to this role"):
        await asyncio.to_thread(aws_secret, "plain", None)


async def test_a_service_that_is_away_or_untrusted(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(ConfigError, match=r"plain: AWS Secrets Manager cannot be reached \(SSLError\)") as failed:
        await asyncio.to_thread(aws_secret, "plain", None)
    assert failed.value.passing
    await simulator.aws.server.close()
    with pytest.raises(ConfigError, match=r"cannot be reached \(EndpointConnectionError\)") as failed:
        await asyncio.to_thread(aws_secret, "plain", None)
    assert failed.value.passing

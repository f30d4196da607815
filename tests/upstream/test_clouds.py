"""Microsoft's national clouds: other hosts, other authorities, other audiences."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from relay.config.microsoft365_settings import CLOUDS
from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from tests.upstream.clinic import Clinic

NATIONAL = [cloud for cloud in CLOUDS if cloud != "public"]


@pytest.fixture
def local_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of every cloud's authority is this machine's."""
    known = socket.getaddrinfo
    names = {login for _, login, _ in CLOUDS.values()}

    def here(host: Any, *rest: Any, **options: Any) -> Any:
        return known("127.0.0.1" if host in names else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)


@pytest.mark.usefixtures("local_authorities")
@pytest.mark.parametrize("cloud", NATIONAL)
async def test_a_token_comes_from_the_clouds_own_authority(tmp_path: Path, cloud: str) -> None:
    login = CLOUDS[cloud][1]
    async with Simulator(cloud=cloud, names=("127.0.0.1", login)) as simulator:
        clinic = Clinic(tmp_path, simulator)
        clinic.replaced['credential = "client_secret"'] = f'cloud = "{cloud}"\ncredential = "client_secret"'
        clinic.replaced['authority = "https://127.0.0.1:'] = f'authority = "https://{login}:'
        said = await clinic.sent_once()
        assert said.phase is Phase.DONE, said
        assert simulator.token_requests == 1


@pytest.mark.parametrize("cloud", NATIONAL)
async def test_a_tenant_of_another_cloud(tmp_path: Path, cloud: str) -> None:
    async with Simulator(cloud=cloud) as simulator:
        said = await Clinic(tmp_path, simulator).sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert "AADSTS500011" in said.reply.text

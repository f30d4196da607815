"""Mail of an outage in the spool of a real relay: it starts, goes on, and sends all of it though it is killed."""

import json
import re
from pathlib import Path

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.seeding import hold, seed
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.scenario.conftest import plain_settings
from tests.scenario.test_relays import send

WAITING = 3000
CONNECTIONS = 4
IN_FLIGHT = 5 * CONNECTIONS + 12 * CONNECTIONS
"""Being sent, claimed ahead, and sent but not yet settled."""


def settings_with(away: ScriptedServer, provider: ScriptedServer) -> dict[str, Value]:
    """Two upstreams; mail comes in for one of them."""
    settings = plain_settings(provider.port)
    one = {"type": "smtp", "host": "127.0.0.1", "security": "none", "auth": "none"}
    upstreams: dict[str, Value] = {
        "provider": one | {"port": provider.port},
        "away": one | {"port": away.port, "max_connections": CONNECTIONS},
    }
    return settings | {"upstream": upstreams}


def numbers(server: ScriptedServer) -> list[int]:
    """The messages that it took."""
    return [int(re.findall(r"patient(\d+)@", str(one.recipients))[0]) for one in server.accepted]


def test_all_of_it_goes_though_the_relay_is_killed(tmp_path: Path, provider: ScriptedServer) -> None:
    state_dir = tmp_path / "relay" / "state"
    seed(state_dir, WAITING, size=200)
    hold(state_dir)
    with (
        ScriptedServer(keep_content=False) as away,
        RelayProcess(tmp_path / "relay", settings_with(away, provider)) as relay,
    ):
        assert relay.metric("relay_queue_recipients", upstream="away", state="queued") == WAITING
        send(relay)
        provider.wait_for(1)
        status = json.loads(relay.command("status", "--json").stdout)
        assert status["queue"]["recipients"]["queued"] == WAITING
        assert away.accepted == []
        assert relay.command("queue", "release", "--upstream", "away").returncode == 0
        away.wait_for(WAITING // 4)
        relay.restart()
        away.wait_for(WAITING // 2)
        send(relay)
        provider.wait_for(2)
        assert relay.terminate() == 0
        relay.start()
        wait_until(lambda: len(set(numbers(away))) == WAITING, "all that waited", 60)
        wait_until(lambda: relay.metric("relay_queue_recipients", upstream="away") == 0, "their settlements", pause=0.2)
        twice = len(away.accepted) - WAITING
        assert twice <= IN_FLIGHT, "those in flight when it was killed, at most"

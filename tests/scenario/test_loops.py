"""Mail that goes in a circle ends, and so does what is told of it."""

import time
from pathlib import Path

from tests.rig.relay import RelayProcess
from tests.rig.toml import Value
from tests.scenario.conftest import plain_settings
from tests.scenario.test_relays import send


def _settings(name: str, port: int) -> dict[str, Value]:
    """A relay that hands everything to another, and tells people of every failure by it."""
    client = {"networks": ["127.0.0.0/8"], "upstream": "provider", "failures_to": [f"reception@{name}"]}
    told = {"client": {"clinic": client}, "alerts": {"to": [f"it@{name}"]}, "hostname": name}
    return plain_settings(port) | told


def test_two_relays_pointed_at_each_other(tmp_path: Path) -> None:
    one = RelayProcess(tmp_path / "one", _settings("one.test", 9))
    with RelayProcess(tmp_path / "two", _settings("two.test", one.port())) as two:
        one.write_config(_settings("one.test", two.port()))
        with one:
            send(one)
            for relay in (one, two):
                relay.wait_for_event("accepted", count=25)
            # The message makes 30 hops, and the one notice about it as many; then all is quiet.
            before = -1
            while (hops := _accepted(one, two)) != before:
                before = hops
                time.sleep(1)
            assert hops <= 61
            assert len(one.log("notice")) + len(two.log("notice")) == 1
            assert len(one.log("nobody_to_tell")) + len(two.log("nobody_to_tell")) == 1


def _accepted(*relays: RelayProcess) -> int:
    return sum(len(relay.log("accepted")) for relay in relays)

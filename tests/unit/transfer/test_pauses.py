"""Gates, reach and pace: how an upstream that has trouble is left alone, and when it is tried again."""

from __future__ import annotations

from relay.config.operating_settings import QueueSettings
from relay.spool.records import Gate, HoldReason
from relay.transfer.gate import gate_for, put_off
from relay.transfer.outcome import Hold
from relay.transfer.pace import Pace
from relay.transfer.reach import Reach
from tests.unit.transfer.made import said

QUEUE = QueueSettings(retry_first=30.0, retry_most=120.0, jitter=0.0)
REFUSED = said("535 5.7.8 Refused")
AUTH = Hold(REFUSED, HoldReason.AUTH)


def test_the_first_hold_puts_up_the_gate() -> None:
    assert gate_for(AUTH, "isp", None, 1000, QUEUE, 0.5, probed=False) == Gate(
        "isp", HoldReason.AUTH, 1000, REFUSED, 31_000
    )


def test_a_probe_that_fails_makes_the_pause_longer_and_keeps_the_beginning() -> None:
    gate = Gate("isp", HoldReason.AUTH, 1000, REFUSED, 31_000)
    pauses = []
    for at in (31_000, 91_000, 211_000):
        found = gate_for(AUTH, "isp", gate, at, QUEUE, 0.5, probed=True)
        assert found is not None
        gate = found
        assert gate.next_probe_at is not None
        pauses.append(gate.next_probe_at - at)
    assert pauses == [60_000, 120_000, 120_000]
    assert (gate.since_at, gate.probes) == (1000, 3)


def test_what_was_under_way_when_the_gate_went_up_changes_nothing() -> None:
    gate = Gate("isp", HoldReason.AUTH, 1000, REFUSED, 31_000)
    assert gate_for(AUTH, "isp", gate, 1100, QUEUE, 0.5, probed=False) is None


def test_another_reason_is_told() -> None:
    gate = Gate("isp", HoldReason.AUTH, 1000, REFUSED, 31_000, 2)
    changed = gate_for(Hold(REFUSED, HoldReason.QUOTA), "isp", gate, 5000, QUEUE, 0.5, probed=False)
    assert changed == Gate("isp", HoldReason.QUOTA, 1000, REFUSED, 125_000, 2)


def test_an_operators_gate_is_left_alone() -> None:
    gate = Gate("isp", HoldReason.OPERATOR, 1000, None, None)
    assert gate_for(AUTH, "isp", gate, 5000, QUEUE, 0.5, probed=True) is None
    assert gate_for(AUTH, "isp", gate, 5000, QUEUE, 0.5, probed=False) is None


def test_a_probe_that_finds_nothing_out_keeps_the_reason() -> None:
    gate = Gate("isp", HoldReason.SECRET, 1000, REFUSED, 31_000, 1)
    assert put_off(gate, 31_000, QUEUE, 0.5) == Gate("isp", HoldReason.SECRET, 1000, REFUSED, 151_000, 2)


def test_reach_grows_its_pauses_and_forgets_them() -> None:
    reach = Reach()
    assert not reach.down
    pauses = []
    for at in (0, 30_000, 90_000):
        reach.failed(REFUSED, at, QUEUE, 0.5)
        assert reach.trial_at is not None
        pauses.append(reach.trial_at - at)
    assert pauses == [30_000, 60_000, 120_000]
    assert (reach.down, reach.since_at, reach.failures) == (True, 0, 3)
    reach.hurry(100_000)
    assert (reach.trial_at, reach.failures) == (100_000, 1)
    reach.succeeded()
    assert not reach.down
    reach.hurry(200_000)
    assert not reach.down


def test_a_pause_that_was_asked_for_is_kept_exactly() -> None:
    reach = Reach()
    reach.put_off(0, 60.0)
    assert not reach.down
    reach.failed(REFUSED, 1000, QUEUE, 0.5, 17.0)
    assert (reach.trial_at, reach.since_at) == (18_000, 1000)
    reach.put_off(2000, 20.0)
    assert reach.trial_at == 22_000
    reach.put_off(3000, 1.0)
    assert reach.trial_at == 22_000
    reach.failed(REFUSED, 22_000, QUEUE, 0.5)
    assert reach.trial_at == 22_000 + 60_000


def test_pace_uses_one_connection_less_for_a_while() -> None:
    pace = Pace(5)
    assert pace.allowed(0) == 5
    pace.slow_down(3, 0, 30.0)
    assert (pace.allowed(29_999), pace.allowed(30_000)) == (2, 5)
    pace.slow_down(1, 0, 30.0)
    assert pace.allowed(0) == 1

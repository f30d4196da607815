"""What is counted of an outcome."""

from relay.journal import Journal
from relay.metrics import Metrics
from relay.reply import reply
from relay.spool.records import RecipientState, Settlement
from tests.unit.transfer.made import ACCEPTED_AT, claim


def test_a_clock_that_was_set_back_takes_nothing_from_the_time_of_delivery() -> None:
    metrics = Metrics("0")
    relayed = Settlement(0, RecipientState.RELAYED, "relayed", reply(250, "2.0.0", "Ok", "mx.provider.test"))
    Journal(metrics).settled(claim(), [relayed], ACCEPTED_AT - 86_400_000)
    sums = [s.value for f in metrics.registry.collect() for s in f.samples if s.name == "relay_delivery_seconds_sum"]
    assert sums == [0.0]

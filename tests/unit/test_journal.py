"""What is counted of an outcome."""

import json

import pytest

from relay import logs
from relay.address import Disclosure
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


@pytest.mark.parametrize("disclosure", ["full", "masked"])
@pytest.mark.parametrize(("typed", "shown"), [
    ("P@ssw0rd-of-Ann", "P***"),
    ("Tr0ub@dor.3", "T***"),
    ("a@b@c.test", "a***"),
    ("careright", "c***"),
    ("\x1b[31m", "?***"),
    ("", ""),
])  # fmt: skip
def test_a_password_typed_as_user_name_is_not_told(
    disclosure: Disclosure, typed: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(addresses=disclosure)
    refusal = reply(535, "5.7.8", "Authentication credentials invalid")
    Journal(Metrics("0")).authentication_failed(
        "submission", "LOGIN", typed, "10.0.0.1", refusal, client="", fault="username"
    )
    logs.flush()
    assert json.loads(capsys.readouterr().err)["username"] == shown


def test_the_user_name_that_is_an_address_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(addresses="masked")
    refusal = reply(535, "5.7.8", "Authentication credentials invalid")
    Journal(Metrics("0")).authentication_failed(
        "submission", "LOGIN", "ann@clinic.test", "10.0.0.1", refusal, client="", fault="username"
    )
    logs.flush()
    assert json.loads(capsys.readouterr().err)["username"] == "a***@clinic.test"

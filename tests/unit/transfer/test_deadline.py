"""A client's deadline: from acceptance on, whatever moved `give_up_at` on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.envelope import WholeContent
from relay.spool.records import Claim, Lease
from relay.transfer.deadline import while_held, within_deadline
from tests.unit.transfer.made import ACCEPTED_AT, HOUR, message, row

DAYS_5 = 120 * HOUR


def _settings(client: dict[str, Any]) -> Settings:
    return Settings.model_validate(
        {
            "hostname": "relay.clinic.test",
            "state_dir": str(Path("/nowhere")),
            "client": {"app": {"networks": ["10.0.0.0/8"], "upstream": "isp"} | client},
            "upstream": {"isp": {"type": "smtp", "host": "mail.isp.test"}},
        }
    )


def _claim(give_up_at: int, *, notice: bool = False) -> Claim:
    rows = (row(give_up_at=give_up_at), replace(row("b@far.test", 1), give_up_at=give_up_at))
    return Claim(message(notice=notice), "isp", rows, Lease("node", "token", 0), WholeContent(b""))


@pytest.mark.parametrize(
    ("client", "give_up_at", "over_at"),
    [
        ({}, ACCEPTED_AT + DAYS_5, ACCEPTED_AT + DAYS_5),
        ({}, ACCEPTED_AT + 2 * DAYS_5, ACCEPTED_AT + 2 * DAYS_5),
        ({"deadline": "12h"}, ACCEPTED_AT + 12 * HOUR, ACCEPTED_AT + 12 * HOUR),
        # The upstream was held for ten hours.
        ({"deadline": "12h"}, ACCEPTED_AT + 22 * HOUR, ACCEPTED_AT + 12 * HOUR),
        ({"deadline": "5d"}, ACCEPTED_AT + DAYS_5 + 10 * HOUR, ACCEPTED_AT + DAYS_5 + 10 * HOUR),
    ],
)
def test_until_when(client: dict[str, Any], give_up_at: int, over_at: int) -> None:
    kept = within_deadline(_claim(give_up_at), _settings(client))
    assert [one.give_up_at for one in kept.recipients] == [over_at, over_at]


def test_a_notice_has_no_deadline() -> None:
    notice = _claim(ACCEPTED_AT + DAYS_5, notice=True)
    assert within_deadline(notice, _settings({"deadline": "1s"})) is notice


def test_of_a_client_that_is_gone() -> None:
    claim = _claim(ACCEPTED_AT + DAYS_5)
    gone = Settings.model_validate({"hostname": "relay.clinic.test", "state_dir": str(Path("/nowhere"))})
    assert within_deadline(claim, gone) is claim


@pytest.mark.parametrize(
    ("since_at", "over_at"),
    [
        (ACCEPTED_AT - 5 * HOUR, ACCEPTED_AT + DAYS_5 + 20 * HOUR),
        (ACCEPTED_AT + 8 * HOUR, ACCEPTED_AT + DAYS_5 + 12 * HOUR),
    ],
)
def test_the_time_held_until_now_does_not_count(since_at: int, over_at: int) -> None:
    claim = while_held(_claim(ACCEPTED_AT + DAYS_5), since_at, ACCEPTED_AT + 20 * HOUR)
    assert [one.give_up_at for one in claim.recipients] == [over_at, over_at]
    kept = within_deadline(claim, _settings({"deadline": "12h"}))
    assert [one.give_up_at for one in kept.recipients] == [ACCEPTED_AT + 12 * HOUR] * 2

from pathlib import Path
from typing import Any

import pytest

from relay.config.load import load
from relay.config.schema import keys_in
from relay.config.unbuilt import WARNED, Unbuilt

EVERY_KEY = Path(__file__).with_name("every_key.toml")


@pytest.mark.parametrize("unbuilt", WARNED)
def test_the_lists_name_keys_that_exist(unbuilt: Unbuilt) -> None:
    assert unbuilt.key is None or unbuilt.key in keys_in(unbuilt.table)


def test_each_key_without_effect_is_warned_of_by_name() -> None:
    warned = {warning.key.split(".")[0] + "." + warning.key.split(".")[-1] for warning in load(EVERY_KEY, {}).warnings}
    for each in WARNED:
        assert f"{each.table}.{each.key or 'north'}" in warned, each


@pytest.mark.parametrize(
    ("unbuilt", "table", "concerned"),
    [
        (Unbuilt("a", "k"), {"k": 1}, True),
        (Unbuilt("a", "other"), {"k": 1}, False),
        (Unbuilt("a", "k", values=("x",)), {"k": "x"}, True),
        (Unbuilt("a", "k", values=("x",)), {"k": "y"}, False),
        (Unbuilt("a", "k", built=("x",)), {"k": "x"}, False),
        (Unbuilt("a", "k", built=("x",)), {"k": "y"}, True),
        (Unbuilt("a", "k", types=("smtp",)), {"k": 1, "type": "smtp"}, True),
        (Unbuilt("a", "k", types=("smtp",)), {"k": 1, "type": "ses"}, False),
    ],
)
def test_whether_a_key_asks_for_what_is_not_there(unbuilt: Unbuilt, table: dict[str, Any], concerned: bool) -> None:
    assert unbuilt.concerns(table, "k") is concerned

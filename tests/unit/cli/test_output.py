"""How commands print."""

import json

import pytest

from relay.cli.output import duration_text, print_json_list, print_table, size_text


@pytest.mark.parametrize("values", [[], [1], [{"a": "ü"}, {"b": None}]])
def test_a_list_that_is_printed_as_it_comes_is_json(values: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    print_json_list(iter(values))
    assert json.loads(capsys.readouterr().out) == values


def test_without_a_terminal_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [["x", None], [["p", "q"], "a\nb\x1b[31m"]], empty="nothing")
    assert capsys.readouterr().out == "x\t-\np, q\ta b [31m\n"


def test_without_a_terminal_nothing_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A",), [], empty="nothing")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119.9, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 d")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes(octets: int, text: str) -> None:
    assert size_text(octets) == text

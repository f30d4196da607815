"""`--config` and `--json` wherever they stand."""

import pytest

from relay.cli.arguments import Arguments, arguments_from


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", Arguments(None, False, ())),
        ("serve", Arguments(None, False, ("serve",))),
        ("serve --config F", Arguments("F", False, ("serve",))),
        ("--config F serve", Arguments("F", False, ("serve",))),
        ("--config=F serve", Arguments("F", False, ("serve",))),
        ("--json queue list", Arguments(None, True, ("queue", "list"))),
        ("queue list --json --config F", Arguments("F", True, ("queue", "list"))),
        ("queue --json list --config F", Arguments("F", True, ("queue", "list"))),
        ("check --form", Arguments(None, False, ("check", "--form"))),
        ("explain -- --json --config", Arguments(None, False, ("explain", "--", "--json", "--config"))),
        ("serve --config F --config G", Arguments("G", False, ("serve",))),
    ],
)
def test_options_are_found_anywhere(typed: str, expected: Arguments) -> None:
    assert arguments_from(typed.split()) == expected


@pytest.mark.parametrize("words", [["serve", "--config"], ["serve", "--config="], ["--config", ""]])
def test_a_missing_file_name_is_told(words: list[str]) -> None:
    arguments = arguments_from(words)
    assert arguments.problem is not None
    assert "--config FILE" in arguments.problem
    assert not arguments.serves


@pytest.mark.parametrize(
    ("typed", "serves"), [("serve", True), ("serve --config F", True), ("serve --help", False), ("serve x", False)]
)
def test_only_a_bare_serve_goes_without_the_command_line_libraries(typed: str, serves: bool) -> None:
    assert arguments_from(typed.split()).serves is serves

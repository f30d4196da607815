"""Changes to a relay.toml that somebody has written: what was not to be changed stays as it was."""

import tomllib
from typing import Any

import pytest

from relay.cli.setup.toml_edit import Edit
from relay.config.client_settings import ClientSettings

WRITTEN = """\
# Our relay. Ask Jo before changing this.

hostname = "relay.clinic.test"   # its old name

# the EHR
[client."careright"]
# do not change
username   =   'careright'   # as they have it
password = { env = "P" }
upstream = [
  "office365",  # first
  "ses",
]

# labs, by Sam

[client.lab]
networks = ["10.0.0.0/8"]
upstream = "office365"

[upstream]
office365 = { type = "capture" }
[upstream.ses]
type = "capture"
"""


def edited(text: str, path: tuple[str, ...], **keys: Any) -> str:
    edit = Edit(text)
    edit.table(path, "The title.", keys, ClientSettings)
    return edit.text()


def changed_lines(old: str, new: str) -> tuple[list[str], list[str]]:
    before, after = old.splitlines(), new.splitlines()
    return [line for line in before if line not in after], [line for line in after if line not in before]


def test_nothing_to_change_changes_nothing() -> None:
    assert edited(WRITTEN, ("client", "careright"), username="careright", upstream=["office365", "ses"]) == WRITTEN
    assert edited(WRITTEN, ("client", "nobody")) == WRITTEN


def test_a_value_is_replaced_where_it_stands_and_its_comment_stays() -> None:
    gone, new = changed_lines(WRITTEN, edited(WRITTEN, ("client", "careright"), username="other"))
    assert gone == ["username   =   'careright'   # as they have it"]
    assert new == ['username   =   "other"   # as they have it']


def test_a_new_key_stands_below_the_last_of_its_table() -> None:
    text = edited(WRITTEN, ("client", "careright"), senders=["@clinic.test"])
    assert changed_lines(WRITTEN, text)[0] == []
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("senders"))
    assert lines[at - 1] == "]"
    assert lines[at].endswith("  # From and MAIL FROM that it may use; default: any")
    assert lines.index("# labs, by Sam") > at


def test_a_key_is_taken_away_with_nothing_else() -> None:
    assert changed_lines(WRITTEN, edited(WRITTEN, ("client", "lab"), networks=None)) == (
        ['networks = ["10.0.0.0/8"]'],
        [],
    )


def test_a_table_in_one_line_stays_in_one_line() -> None:
    text = edited(WRITTEN, ("upstream", "office365"), keep="3d")
    assert tomllib.loads(text)["upstream"]["office365"] == {"type": "capture", "keep": "3d"}
    assert 'office365 = { type = "capture", keep = "3d" }' in text.replace('capture" ,', 'capture",')


def test_a_new_table_is_added_at_the_end() -> None:
    text = edited(WRITTEN, ("client", 'odd "name".x'), username="u", networks=None)
    assert text.startswith(WRITTEN)
    assert tomllib.loads(text)["client"]['odd "name".x'] == {"username": "u"}
    assert "# The title.\n[client." in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 'state_dir = "s"'),
        ("# About.\n", '# About.\n\nstate_dir = "s"'),
        ("# About.\n\n[tls]\n", '# About.\n\nstate_dir = "s"'),
        ("# About.\n\n# of tls\n[tls]\n", '# About.\n\nstate_dir = "s"'),
        ("# of all\n[tls]\n", '# of all\nstate_dir = "s"'),
        ('# About.\nhostname = "h"\n[tls]\n', '# About.\nstate_dir = "s"'),
    ],
)
def test_a_key_at_the_top_stands_above_the_tables(text: str, expected: str) -> None:
    edit = Edit(text)
    edit.top({"state_dir": "s"})
    assert edit.text().startswith(expected)
    assert tomllib.loads(edit.text()) == tomllib.loads(text) | {"state_dir": "s"}


@pytest.mark.parametrize(
    "text", ['client = "x"\n', 'client = { a = { username = "u" } }\n', "[[client]]\n", "[client]\nnew = 3\n"]
)
def test_what_cannot_be_added_to_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="table"):
        edited(text, ("client", "new"), username="u")


def test_what_is_no_toml_is_said() -> None:
    with pytest.raises(ValueError, match="not TOML"):
        Edit("a = = b")


NAMES = ["x", "a b", 'q"q', "back\\slash", "ünïcode", "dots.in.it", "it's", "{brace}", "#hash", "[bracket]"]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_values_of_any_kind_survive(name: str) -> None:
    for text in ("", WRITTEN):
        once = edited(text, ("client", name), username=name, networks=[name, "10.0.0.0/8"], password={"sealed": name})
        assert tomllib.loads(once)["client"][name] == {
            "username": name,
            "networks": [name, "10.0.0.0/8"],
            "password": {"sealed": name},
        }
        twice = edited(once, ("client", name), username=name + "x", senders=[name])
        assert tomllib.loads(twice)["client"][name]["username"] == name + "x"
        assert tomllib.loads(twice)["client"][name]["senders"] == [name]

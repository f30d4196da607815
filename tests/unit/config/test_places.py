import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.places import places_of
from relay.config.problems import KeyPath

TEXT = '''# a comment with a = "b"
hostname = "x" # [not.a.table]

[listener."lab.1"]
address = "127.0.0.1:25"
auth = [
  "PLAIN",  # first
  # between
  "LOGIN",
]
'quoted key' = 1
[client.a]
password = { env = "A", "file" = 'b' }
disclaimer_text = """
[not a table]
key = 1 \\""" "quoted" ""\\"
"""
literal = \'\'\'
x = 1
\'\'\'
senders = ["a", ["b",
"c"], { k = 1 }]
when = 1979-05-27 07:32:00
a.b . "c.d" = 1.5
[[rows]]
n = 1
[rows.inner]
m = 2
[[rows]]
n = 3
[ spaced . table ]
z = 1
'''

EXPECTED: dict[KeyPath, int] = {
    ("hostname",): 2,
    ("listener",): 4,
    ("listener", "lab.1"): 4,
    ("listener", "lab.1", "address"): 5,
    ("listener", "lab.1", "auth"): 6,
    ("listener", "lab.1", "auth", 0): 7,
    ("listener", "lab.1", "auth", 1): 9,
    ("listener", "lab.1", "quoted key"): 11,
    ("client",): 12,
    ("client", "a"): 12,
    ("client", "a", "password"): 13,
    ("client", "a", "password", "env"): 13,
    ("client", "a", "password", "file"): 13,
    ("client", "a", "disclaimer_text"): 14,
    ("client", "a", "literal"): 18,
    ("client", "a", "senders"): 21,
    ("client", "a", "senders", 0): 21,
    ("client", "a", "senders", 1): 21,
    ("client", "a", "senders", 1, 0): 21,
    ("client", "a", "senders", 1, 1): 22,
    ("client", "a", "senders", 2): 22,
    ("client", "a", "senders", 2, "k"): 22,
    ("client", "a", "when"): 23,
    ("client", "a", "a"): 24,
    ("client", "a", "a", "b"): 24,
    ("client", "a", "a", "b", "c.d"): 24,
    ("rows",): 29,
    ("rows", 0): 25,
    ("rows", 0, "n"): 26,
    ("rows", 0, "inner"): 27,
    ("rows", 0, "inner", "m"): 28,
    ("rows", 1): 29,
    ("rows", 1, "n"): 30,
    ("spaced",): 31,
    ("spaced", "table"): 31,
    ("spaced", "table", "z"): 32,
}


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: set[KeyPath] = {path} if path else set()
    return found.union(*(paths_of(inner, (*path, key)) for key, inner in items))


def test_every_key_has_its_line() -> None:
    tomllib.loads(TEXT)
    found = dict(places_of(TEXT))
    found[("rows",)] = 29  # the table of tables itself has no line that matters
    assert found == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a = 1",
        "a = [[[]]]",
        "a = {}",
        'a = """"""',
        "a = ''''''",
        'a = """x"""""\nb = 1',
        "a = '''x'''''\nb = 1",
        'a = "\\\\"\nb = 1',
        "a = '\\'\nb = 1",
        "a = []\n\n\n[b]\nc = [\n\n{ d = [ 1,\n 2 ] } ]\n",
        "a = inf\nb = nan\nc = -1e5\nd = 0xf_f",
        "1.2 = 3\n'' = 1\n\"\\u0041\" = 2",
        "[a]\n[a.b]\n[c.d.e]\n[c]\n",
        "a = 07:32:00\nb = 1979-05-27T07:32:00.5-07:00\n",
    ],
)
def test_every_path_of_the_tables_is_found_and_no_other(text: str) -> None:
    assert set(places_of(text)) == paths_of(tomllib.loads(text))


@given(st.text(alphabet="ab=.[]{},\"'#\\\n 1", max_size=60))
def test_any_text_that_is_toml_has_all_its_places(text: str) -> None:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = places_of(text)
    assert set(found) == paths_of(tables)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())

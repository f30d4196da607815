"""Whatever stands in the file, load answers with settings or problems, and never raises."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from relay.config.document import Document, document_from
from relay.config.load import loaded_from
from relay.config.problems import KeyPath

EVERY_KEY = Path(__file__).with_name("every_key.toml")
TABLES = tomllib.loads(EVERY_KEY.read_text())


def paths_of(tables: dict[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in tables.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from paths_of(value, (*path, key))


def replaced(tables: Any, path: KeyPath, value: Any) -> Any:
    first, *rest = path
    return tables | {first: replaced(tables[first], tuple(rest), value) if rest else value}


TEXTS = st.text(max_size=30) | st.sampled_from(
    ["", " ", "\0", "\n", "\x1b[2J@", "{name}", "5m", "1KiB", "*:25", "10.0.0.0/8", "@", "a@b.c", "{"]
)
SCALARS = TEXTS | st.integers() | st.floats() | st.booleans() | st.datetimes() | st.dates() | st.times()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)


@how(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(list(paths_of(TABLES))), VALUES)
def test_any_value_in_any_place(path: KeyPath, value: Any) -> None:
    found = loaded_from(Document(str(EVERY_KEY), replaced(TABLES, path, value)), {})
    assert (found.settings is None) == bool(found.problems)
    assert all(problem.text and "; " in problem.text and str(problem).isprintable() for problem in found.problems)


@how(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*TABLES, "x", ""]), VALUES, max_size=5))
def test_any_tables(tables: dict[str, Any]) -> None:
    found = loaded_from(Document("relay.toml", tables), {})
    assert (found.settings is None) == bool(found.problems)
    assert all(str(problem).isprintable() for problem in found.problems)


@how(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["RELAY__CLIENT__CARERIGHT__", "RELAY__QUEUE__", "RELAY__", "RELAY__UPSTREAM__X__", "RELAY__TLS__"]
    ),
    st.sampled_from(
        ["UPSTREAM", "HOSTNAME", "JITTER", "TYPE", "PRIVATE_KEY", "PASSWORD", "PORT", "NETWORKS", "URL", ""]
    ),
    st.text(max_size=40),
)
def test_any_text_of_a_variable(prefix: str, key: str, text: str) -> None:
    found = loaded_from(Document(str(EVERY_KEY), tomllib.loads(EVERY_KEY.read_text())), {prefix + key: text})
    assert (found.settings is None) == bool(found.problems)


@how(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="ab=.[]{},\"'#\\\n 1\r\t", max_size=60).map(str.encode))
def test_any_octets(octets: bytes) -> None:
    document = document_from(octets, "relay.toml")
    if isinstance(document, Document):
        loaded_from(document, {})


@pytest.mark.parametrize("end", range(0, len(EVERY_KEY.read_bytes()), 23))
def test_a_file_cut_off_anywhere(end: int) -> None:
    document = document_from(EVERY_KEY.read_bytes()[:end], "relay.toml")
    if isinstance(document, Document):
        loaded_from(document, {})
    else:
        assert document.line

from pathlib import Path

import pytest

from relay.spool.contract import SpoolError
from relay.spool.node import node_name


def test_it_is_made_once(tmp_path: Path) -> None:
    name = node_name(tmp_path)
    assert node_name(tmp_path) == name
    assert [path.name for path in tmp_path.iterdir()] == ["node"]


def test_nodes_differ(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert node_name(tmp_path / "a") != node_name(tmp_path / "b")


def test_an_empty_file_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("")
    assert node_name(tmp_path)


def test_a_name_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    with pytest.raises(SpoolError):
        node_name(tmp_path)


def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "node").write_bytes(b"\xff\0")
    with pytest.raises(SpoolError, match="node: not text; remove it"):
        node_name(tmp_path)

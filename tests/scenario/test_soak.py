"""The short form of `make soak`: every manner of ending once, under load, with an upstream that fails."""

from pathlib import Path

from tests.soak.soak import Soak, seed_of_this_run


def test_soak(tmp_path: Path) -> None:
    print(Soak(tmp_path, seed_of_this_run()).run(6))

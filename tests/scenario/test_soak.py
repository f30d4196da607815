"""The short form of `make soak`: every manner of ending once, under load, with an upstream that fails."""

from pathlib import Path

import pytest

from tests.soak.soak import Soak, seed_of_this_run


@pytest.mark.timeout(400)
def test_soak(tmp_path: Path) -> None:
    seed = seed_of_this_run()
    print(f"the same load again: SOAK_SEED={seed}")
    print(Soak(tmp_path, seed).run(6))

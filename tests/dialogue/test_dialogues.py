"""Plays every `.smtp` file below, on asyncio's loop and on uvloop."""

from pathlib import Path

import pytest

from tests.dialogue.conversation import play
from tests.dialogue.loops import on_both_loops

FILES = sorted(Path(__file__).parent.glob("*/*.smtp"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
@on_both_loops
async def test_dialogue(path: Path, tmp_path: Path) -> None:
    await play(path, tmp_path)

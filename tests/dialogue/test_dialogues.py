"""Plays every `.smtp` file below, on asyncio's loop and on uvloop."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.dialogue.conversation import play

FILES = sorted(Path(__file__).parent.glob("*/*.smtp"))
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_dialogue(path: Path, loop: str, tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(play(path, tmp_path))

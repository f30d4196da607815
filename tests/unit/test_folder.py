import subprocess
import sys
from pathlib import Path

import pytest

from relay.folder import put_in_place
from tests.rig.strace import calls_in, tracing

_PRIVATE_FILE = """
import sys
from pathlib import Path
from relay.config.private_file import make

make(Path(sys.argv[1]) / "sealed", b"octets")
"""

_BACK_UP = """
import sqlite3, sys
from pathlib import Path
from relay.spool.upgrade import back_up

folder = Path(sys.argv[1])
connection = sqlite3.connect(folder / "queue.db")
connection.execute("CREATE TABLE messages (id TEXT)")
connection.close()
back_up(folder / "queue.db", folder / "queue.db.before")
"""

_NODE = """
import sys
from pathlib import Path
from relay.spool.node import node_name

node_name(Path(sys.argv[1]))
"""

_STATE_DIR = """
import sys
from pathlib import Path
from relay.state_dir import prepare

prepare(Path(sys.argv[1]) / "var" / "state")
"""


@pytest.mark.parametrize("program", [_PRIVATE_FILE, _BACK_UP, _NODE], ids=["private file", "backup", "node"])
def test_a_name_outlasts_a_power_cut(program: str, tmp_path: Path) -> None:
    folder, trace = tmp_path / "state", tmp_path / "trace"
    folder.mkdir()
    process = subprocess.Popen([*tracing(trace), sys.executable, "-c", program, str(folder)])
    assert process.wait(30) == 0
    calls = [call for call in calls_in(trace, process.pid) if call.path.startswith(str(folder))]
    last = calls.pop()
    assert (last.name, last.path, last.result) == ("fsync", str(folder), 0)
    assert any(call.path != str(folder) for call in calls if call.name in {"fsync", "fdatasync"})


def test_a_new_state_dir_outlasts_a_power_cut(tmp_path: Path) -> None:
    folder, trace = tmp_path / "lib", tmp_path / "trace"
    folder.mkdir()
    process = subprocess.Popen([*tracing(trace), sys.executable, "-c", _STATE_DIR, str(folder)])
    assert process.wait(30) == 0
    synced = {call.path for call in calls_in(trace, process.pid) if call.name == "fsync" and call.result == 0}
    assert {str(folder), str(folder / "var")} <= synced


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    finished, path = tmp_path / "draft", tmp_path / "name"
    finished.write_text("new")
    path.write_text("old")
    put_in_place(finished, path)
    assert path.read_text() == "new"
    assert not finished.exists()

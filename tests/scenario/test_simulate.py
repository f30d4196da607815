"""`relay simulate`: the simulator alone."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.rig.waiting import wait_until


def test_it_says_how_to_use_it_and_ends(tmp_path: Path) -> None:
    output = tmp_path / "output"
    # An address of its own on loopback: the ports are always the same.
    command = [sys.executable, "-m", "relay", "simulate", "--host", "127.0.0.7"]
    with output.open("wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written)
    try:
        wait_until(lambda: process.poll() is not None or "[upstream." in output.read_text(), "the guide", 60)
        assert process.poll() is None, output.read_text()
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert len(second.stderr.splitlines()) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()

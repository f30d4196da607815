"""`relay demo`: what it prints, pasted, delivers; and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.waiting import wait_until


class Demo:
    """A running demo, with its temporary files in a folder of the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder.parent / "output"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY")}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "relay", "demo"],
                stdout=output,
                stderr=output,
                env=environ | {"TMPDIR": str(folder)},
            )

    @property
    def text(self) -> str:
        return self.output.read_text()

    def line(self, word: str) -> str:
        """The one line that begins with a word, or a path that ends with it."""
        [found] = [line for line in self.text.splitlines() if line.partition(" ")[0].rpartition("/")[2] == word]
        return found

    def wait(self) -> None:
        """Return when it says that it runs."""
        wait_until(self._begun, "the demo to be ready", 60)

    def _begun(self) -> bool:
        assert self.process.poll() is None, self.text
        return "Ctrl-C ends it all" in self.text


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    folder = tmp_path / "a folder"
    folder.mkdir()
    running = Demo(folder)
    yield running
    running.process.kill()
    running.process.wait()


def pasted(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell would."""
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)


def status(demo: Demo) -> dict[str, Any]:
    """The status, by the line that the demo prints."""
    [line] = [line for line in demo.text.splitlines() if " status --config " in line]
    found: dict[str, Any] = json.loads(pasted(f"{line} --json").stdout)
    return found


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_and_leaves_no_files(demo: Demo, ending: signal.Signals) -> None:
    demo.wait()
    assert list(demo.folder.iterdir())
    demo.process.send_signal(ending)
    assert demo.process.wait(30) == 0, demo.text
    assert list(demo.folder.iterdir()) == []


def test_the_curl_line_delivers_through_xoauth2(demo: Demo) -> None:
    demo.wait()
    sent = pasted(demo.line("curl"))
    assert (sent.returncode, sent.stderr) == (0, "")
    wait_until(lambda: "took a message from no-reply@clinic.test to patient@example.test" in demo.text, "the message")
    [recent] = status(demo)["recent"]
    assert (recent["event"], recent["upstream"]) == ("relayed", "office365")
    assert "prod.outlook.com" in recent["reply"]


@pytest.mark.peer
def test_the_swaks_line_delivers_through_xoauth2(demo: Demo) -> None:
    demo.wait()
    sent = pasted(demo.line("swaks"))
    assert sent.returncode == 0, sent.stdout
    wait_until(lambda: "took a message from no-reply@clinic.test to patient@example.test" in demo.text, "the message")


def test_each_line_is_one_command(demo: Demo) -> None:
    demo.wait()
    assert demo.line("curl").startswith("curl ")
    assert not set(";|&`$") & set(demo.line("curl") + demo.line("swaks"))


def test_two_at_once_take_different_ports(demo: Demo, tmp_path: Path) -> None:
    demo.wait()
    folder = tmp_path / "second" / "a folder"
    folder.mkdir(parents=True)
    second = Demo(folder)
    try:
        second.wait()
        assert demo.line("curl") != second.line("curl")
        assert pasted(second.line("curl")).returncode == 0
    finally:
        second.process.terminate()
        assert second.process.wait(30) == 0

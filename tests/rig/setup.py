"""`relay setup` as a person at a terminal uses it, and as a script does."""

import os
import subprocess
import sys
from pathlib import Path

import pexpect

from tests.rig.simulate import SimulateProcess

ENVIRON = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
TENANT = [
    "--tenant",
    "11111111-2222-3333-4444-555555555555",
    "--client-id",
    "66666666-7777-8888-9999-000000000000",
]
PASSWORD = "a pass word's \"%"


class Dialogue:
    """A person at a terminal, who waits for each question."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.config = folder / "relay.toml"
        arguments = ["-m", "relay", "setup", "--config", str(self.config), *words]
        environ: dict[str, str] = {**ENVIRON, "TERM": "xterm", "NO_COLOR": "1"}
        self.terminal = pexpect.spawn(
            sys.executable,
            arguments,
            cwd=str(folder),
            env=environ,
            encoding="utf-8",
            timeout=30,
            dimensions=(50, 200),
        )
        self.shown = ""

    def asked(self, question: str, answer: str | None = "") -> None:
        """Wait for a question and type the answer; None types nothing."""
        self.terminal.expect_exact(question)
        self.shown += f"{self.terminal.before}{question}"
        self.terminal.expect(r": ?(\x1b\[0m)?$")
        if answer is not None:
            self.terminal.sendline(answer)

    def ended(self) -> int:
        """Wait for the end; the exit status."""
        self.terminal.expect(pexpect.EOF)
        self.shown += str(self.terminal.before)
        self.terminal.close()
        return int(self.terminal.exitstatus or 0)


def run(folder: Path, *words: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """`relay setup` without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "relay", "setup", *words, "--config", str(folder / "relay.toml")],
        cwd=folder,
        env=ENVIRON | environ,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def unattended(simulator: SimulateProcess, port: int) -> list[str]:
    words = ["--yes", "--provider", "simulator", "--simulator-host", simulator.host, "--state-dir", "state"]
    return [*words, "--application", "rails", "--listen", f"127.0.0.1:{port}"]

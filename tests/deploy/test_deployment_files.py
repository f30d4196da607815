"""What an operations team installs: image, unit, Prometheus configuration, each judged by its own world's tool."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".peers" / "bin"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    result = run(Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile")
    assert (result.returncode, result.stdout) == (0, "")


def test_image_runs_as_a_user_and_says_when_it_is_healthy() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last_stage = lines[max(at for at, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert "USER 10025:10025" in last_stage
    assert any(line.startswith("HEALTHCHECK ") for line in last_stage)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists here: the tools look whether it does."""
    text = (ROOT / "deploy/systemd/relay.service").read_text()
    assert "/opt/relay/bin/relay serve" in text
    unit = tmp_path / "relay.service"
    unit.write_text(text.replace("/opt/relay/bin/relay", sys.executable))
    return unit


@pytest.mark.peer
def test_systemd_verifies_the_unit(unit: Path) -> None:
    result = run(PEERS / "systemd-analyze", "verify", "--man=no", unit)
    ours = [line for line in (result.stdout + result.stderr).splitlines() if "relay.service" in line]
    assert (result.returncode, ours) == (0, [])


@pytest.mark.peer
def test_systemd_finds_the_unit_hardened(unit: Path) -> None:
    result = run(PEERS / "systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)
    assert found, result.stdout + result.stderr
    assert float(found[1]) < 2.0


@pytest.mark.peer
def test_promtool_accepts_configuration_and_rules() -> None:
    result = run(PEERS / "promtool", "check", "config", ROOT / "deploy/prometheus/prometheus.yml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "rules found" in result.stdout


def test_every_metric_in_the_rules_exists() -> None:
    from relay.metrics import Metrics

    known: set[str] = set()
    for family in Metrics("1").registry.collect():
        name = family.name
        known |= {name, f"{name}_total", f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    used = set(re.findall(r"\brelay_[a-z_]+\b", (ROOT / "deploy/prometheus/rules.yml").read_text()))
    assert used
    assert used <= known

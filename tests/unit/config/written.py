"""Writes a configuration for a test and reads it back."""

from collections.abc import Mapping
from pathlib import Path

from relay.config.load import Loaded, load
from relay.config.settings import Settings

CLIENT = """
[client."app"]
username = "app"
password = { env = "APP_PASSWORD" }
upstream = "isp"
"""

UPSTREAM = """
[upstream."isp"]
type = "smtp"
host = "mail.isp.test"
"""

GOOD = CLIENT + UPSTREAM
"""The least that is in order."""


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    """What load says of this text, kept as relay.toml in the folder."""
    path = folder / "relay.toml"
    path.write_text(text, "utf-8")
    return load(path, environ or {})


def settings(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a text that is in order."""
    found = loaded(folder, text, environ)
    assert found.problems == (), "\n".join(map(str, found.problems))
    assert found.settings is not None
    return found.settings


def told(found: Loaded) -> list[tuple[int | None, str, str]]:
    """Line, key and text of every problem."""
    return [(problem.line, problem.key, problem.text) for problem in found.problems]

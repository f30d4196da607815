"""Services that are reached as `type = "smtp"` under a name: what `preset` sets, read from presets.toml."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = tomllib.loads(
    resources.files("relay.config").joinpath("presets.toml").read_text("utf-8")
)
"""Keys of an upstream by the preset's name."""


def host_of(preset: str | None, domain: str) -> str | None:
    """The host that follows from a domain of the tenant's; None where none does.

    Microsoft makes hyphens of the dots. Of a domain that has a hyphen itself it makes a name that only its MX record
    tells, and so for domains under mx.microsoft.
    """
    pattern = PRESETS.get(preset or "", {}).get("host_of")
    return pattern.format(domain=domain.lower().replace(".", "-")) if pattern and "-" not in domain else None

"""Whose service an upstream is: by its type, or by its host where the type is `smtp`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from relay.config.upstream_settings import UpstreamSettings

Provider: TypeAlias = Literal["microsoft365", "gmail", "ses", "smtp"]

_HOSTS: Final[tuple[tuple[Provider, tuple[str, ...]], ...]] = (
    ("microsoft365", ("office365.com", "office365.us", "outlook.com", "outlook.cn", "azurecomm.net", "mx.microsoft")),
    ("gmail", ("gmail.com", "googlemail.com", "google.com")),
    ("ses", ("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu")),
)

_PRESETS: Final[Mapping[str, Provider]] = {
    "connector": "microsoft365",
    "hve": "microsoft365",
    "acs": "microsoft365",
    "workspace-relay": "gmail",
}


def provider_of(upstream: UpstreamSettings) -> Provider:
    """Return whose replies an upstream gives."""
    if upstream.type == "microsoft365" or upstream.type == "gmail" or upstream.type == "ses":
        return upstream.type  # type: ignore[return-value]  # narrowed by the comparison above
    known = _PRESETS.get(getattr(upstream, "preset", None) or "")
    return known if known is not None else provider_at(upstream.host)


def provider_at(host: str) -> Provider:
    """Return whose host this is; `smtp` for anybody else's."""
    name = f".{host.casefold().rstrip('.')}"
    found = (provider for provider, domains in _HOSTS if any(name.endswith(f".{domain}") for domain in domains))
    return next(found, "smtp")

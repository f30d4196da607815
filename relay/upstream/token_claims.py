"""What an access token says of itself (RFC 7519); read to explain a refusal, never believed, and no secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

_LONGEST: Final = 200
_LATEST: Final = 10**11
"""Seconds since the epoch beyond which an end is nonsense."""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Texts are empty, and `expires_at` (milliseconds since the epoch) None, where the token does not tell.

    `roles` are an application's permissions, `scopes` a person's; `object_id` is whose token it is in the tenant: an
    application's service principal (what Entra calls enterprise application), or `user`.
    """

    audience: str = ""
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    expires_at: int | None = None
    tenant: str = ""
    application: str = ""
    object_id: str = ""
    user: str = ""


def claims_of(token: str) -> TokenClaims | None:
    """Return what stands in a JWT; None for a token that is opaque, as Google's are."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return TokenClaims(
        audience=next(iter(_texts(found.get("aud"))), ""),
        roles=_texts(found.get("roles")),
        scopes=tuple(_text(found.get("scp")).split()),
        expires_at=_instant(found.get("exp")),
        tenant=_text(found.get("tid")),
        application=_text(found.get("appid") or found.get("azp")),
        object_id=_text(found.get("oid")),
        user=_text(found.get("upn") or found.get("preferred_username")),
    )


def _texts(value: Any) -> tuple[str, ...]:
    several: Iterable[Any] = value if isinstance(value, list) else [value]
    return tuple(text for text in map(_text, several) if text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST and value.isprintable() else ""


def _instant(value: Any) -> int | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LATEST
    return int(value * 1000) if known else None

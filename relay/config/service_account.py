"""The JSON key of a Google service account."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from relay.config.problems import ConfigError

_CURE: Final = "name the JSON file that the Google Cloud console gave when the service account's key was made"
_URL: Final = re.compile(r"https://[^\s/?#@]+/[^\s?#]*")


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """`token_uri` is where its tokens come from; `private_key` a PEM text, `key_id` what Google calls it."""

    client_email: str
    token_uri: str
    key_id: str
    private_key: str = field(repr=False)


def service_account_in(text: str) -> ServiceAccount:
    """The service account that a JSON text describes. Raises ConfigError, which says nothing of the key."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(f"holds no JSON; {_CURE}") from None
    kind = found.get("type") if isinstance(found, dict) else None
    if kind != "service_account":
        what = f'is of the type "{kind:.40}"' if isinstance(kind, str) else "names no type"
        raise ConfigError(f"{what}, and is no service account's key; {_CURE}")
    values = {key: found.get(key) for key in ("client_email", "private_key", "token_uri")}
    for key, value in values.items():
        if not isinstance(value, str) or not value:
            raise ConfigError(f'lacks "{key}"; {_CURE}')
    if not _URL.fullmatch(values["token_uri"]):
        raise ConfigError(f'its "token_uri" is no https URL; {_CURE}')
    account = ServiceAccount(
        values["client_email"], values["token_uri"], str(found.get("private_key_id", "")), values["private_key"]
    )
    _check(account)
    return account


def _check(account: ServiceAccount) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(account.private_key.encode("utf-8"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f'its "private_key" can\'t be read; {_CURE}') from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(f'its "private_key" is no RSA key; {_CURE}')

"""What proves to Entra that we are the application: a secret, a certificate, or another issuer's assertion."""

from __future__ import annotations

from typing import Any

from relay.config.assertion import assertion_of
from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.problems import ConfigError
from relay.config.secrets import Secrets


def client_proof(settings: Microsoft365Settings, secrets: Secrets) -> Any:
    """Return it as msal takes it, read anew: what was corrected is used at once. Blocks. Raises ConfigError."""
    if settings.credential == "client_secret" and settings.client_secret is not None:
        return str(secrets.resolve(settings.client_secret))
    if settings.credential == "certificate":
        return _certificate(settings, secrets)
    if settings.credential == "federated" and settings.assertion is not None:
        assertion = str(assertion_of(settings.assertion))
        # msal warns of an assertion that is a text, which would grow old in an application that lives on.
        return {"client_assertion": lambda: assertion}
    raise ConfigError(f'there is nothing to prove credential = "{settings.credential}" with')


def _certificate(settings: Microsoft365Settings, secrets: Secrets) -> dict[str, Any]:
    """Return the certificate as msal takes it; unreadable ones are found here, not in the middle of a request."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

    passphrase = str(secrets.resolve(settings.passphrase)) if settings.passphrase is not None else None
    octets = passphrase.encode("utf-8") if passphrase is not None else None
    given: dict[str, Any] = {"passphrase": passphrase} if passphrase is not None else {}
    try:
        if settings.pfx is not None:
            pkcs12.load_key_and_certificates(settings.pfx.read_bytes(), octets)
            return given | {"private_key_pfx_path": str(settings.pfx), "public_certificate": True}
        if settings.certificate is None or settings.private_key is None:
            raise ConfigError("the certificate or its private key is missing")
        key = str(secrets.text_of(settings.private_key))
        load_pem_private_key(key.encode("utf-8"), octets)
        return given | {"private_key": key, "public_certificate": settings.certificate.read_text("utf-8")}
    except (ValueError, TypeError, OSError) as error:
        # cryptography says TypeError where a passphrase is missing, or given for a key that has none.
        raise ConfigError("the certificate or its private key can't be read; check file and passphrase") from error

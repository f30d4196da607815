"""What proves to Entra that we are the application: a secret, a certificate, or another issuer's assertion."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relay.config.assertion import assertion_of
from relay.config.certificates import chain_in, check_pfx, mismatch, public_key_of, unfit_for_entra
from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.problems import ConfigError
from relay.config.secret_reference import SecretReference
from relay.config.secrets import Secrets


def client_proof(settings: Microsoft365Settings, secrets: Secrets, environ: Mapping[str, str]) -> Any:
    """Return it as msal takes it, read anew: what was corrected is used at once. Blocks. Raises ConfigError.

    `environ` is what a command that prints an assertion finds.
    """
    if settings.credential == "client_secret" and settings.client_secret is not None:
        return str(secrets.resolve(settings.client_secret))
    if settings.credential == "certificate":
        return _certificate(settings, secrets)
    if settings.credential == "federated" and settings.assertion is not None:
        assertion = str(assertion_of(settings.assertion, environ))
        # msal warns of an assertion that is a text, which would grow old in an application that lives on.
        return {"client_assertion": lambda: assertion}
    raise ConfigError(f'there is nothing to prove credential = "{settings.credential}" with')


def _certificate(settings: Microsoft365Settings, secrets: Secrets) -> dict[str, Any]:
    """Return the certificate as msal takes it; unreadable ones are found here, not in the middle of a request."""
    passphrase = str(secrets.resolve(settings.passphrase)) if settings.passphrase is not None else None
    given: dict[str, Any] = {"passphrase": passphrase} if passphrase is not None else {}
    if settings.pfx is not None:
        with _said_of(settings.pfx):
            chain = check_pfx(settings.pfx.read_bytes(), passphrase)
            _refuse(unfit_for_entra(chain))
        return given | {"private_key_pfx_path": str(settings.pfx), "public_certificate": True}
    if settings.certificate is None or settings.private_key is None:
        raise ConfigError("the certificate or its private key is missing")
    with _said_of(settings.certificate):
        pem = settings.certificate.read_text("utf-8")
        chain = chain_in(pem.encode("utf-8"))
        _refuse(unfit_for_entra(chain))
    key = str(secrets.text_of(settings.private_key))
    with _said_of(settings.private_key):
        _refuse(mismatch(chain, public_key_of(key.encode("utf-8"), passphrase)))
    return given | {"private_key": key, "public_certificate": pem}


@contextlib.contextmanager
def _said_of(place: Path | SecretReference) -> Iterator[None]:
    """Name the place in what is wrong with its content."""
    try:
        yield
    except (ConfigError, UnicodeDecodeError) as error:
        what = str(error) if isinstance(error, ConfigError) else "not a text in UTF-8; name the PEM file"
        raise ConfigError(f"{place}: {what}") from error
    except OSError as error:
        raise ConfigError(f"{place}: {error.strerror or 'cannot be read'}") from error


def _refuse(wrong: str | None) -> None:
    if wrong is not None:
        raise ConfigError(wrong)

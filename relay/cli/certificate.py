"""`relay certificate`: what applications must trust, and how they are made to."""

from __future__ import annotations

import hashlib
import ssl
from importlib.resources import files
from pathlib import Path

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError, print_json, say
from relay.config.settings import Settings
from relay.control.shapes import instant


def certificate(context: typer.Context) -> None:
    """What applications must trust, and how to make Windows, Rails and Java trust it."""
    from relay.inbound.tls import expires_at

    invocation = invocation_of(context)
    settings = invocation.settings()
    path = _file_to_trust(settings)
    try:
        pem = path.read_bytes()
        fingerprint = fingerprint_of(pem)
        expires = expires_at(pem)
    except FileNotFoundError as error:
        if not any(listener.uses_tls for listener in settings.listener.values()):
            raise CommandError("no listener uses TLS, so there is nothing to trust; see: relay settings") from error
        raise CommandError(f"{path}: not made yet; it is made when relay serve starts the first time") from error
    except PermissionError as error:
        raise CommandError(f"{path}: not yours to read; run this as root, or as its owner") from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: holds no certificate in PEM") from error
    own = settings.tls is None
    if invocation.json:
        found = {"file": str(path), "own_authority": own, "sha256": fingerprint, "expires": instant(expires)}
        print_json(found | {"pem": pem.decode("ascii", "replace")})
        return
    say(f"File:        {path}")
    say(f"SHA-256:     {fingerprint}")
    say(f"Expires:     {instant(expires)}")
    if not own:
        say("This certificate is yours ([tls]). Applications that trust whoever signed it need nothing more.")
        return
    name = "trust.txt"
    say()
    say(files("relay.cli").joinpath(name).read_text("utf-8").replace("AUTHORITY", str(path)).rstrip())
    say()
    say(pem.decode("ascii", "replace").rstrip())


def fingerprint_of(pem: bytes) -> str:
    """Return the first certificate's SHA-256 as Windows and openssl show it. Raises ValueError."""
    begin = pem.index(b"-----BEGIN CERTIFICATE-----")
    end = pem.index(b"-----END CERTIFICATE-----", begin) + len(b"-----END CERTIFICATE-----")
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[begin:end].decode("ascii"))).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _file_to_trust(settings: Settings) -> Path:
    from relay.inbound.local_authority import LocalAuthority

    return settings.tls.certificate if settings.tls else LocalAuthority.of(settings.state_dir).certificate

"""The assertion of a federated credential: a JWT that another issuer, which Entra trusts, made for this machine."""

import base64
import binascii
import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

from relay.config.aws_assertion import aws_assertion
from relay.config.microsoft365_settings import Assertion
from relay.config.problems import ConfigError
from relay.config.secrets import Secret, file_secret

SECONDS: Final = 30.0
"""How long a command may take."""

_LARGEST: Final = 1 << 16
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN: Final = 80


def assertion_of(place: Assertion, environ: Mapping[str, str] | None = None) -> Secret:
    """The assertion; a command finds `environ`. Raises ConfigError, which says nothing of its content.

    Blocks, up to `SECONDS`.
    """
    if place.aws is not None:
        text, source = aws_assertion(place.aws), "AWS"
    elif place.file is not None:
        text, source = file_secret(place.file).strip(), str(place.file)
    else:
        text, source = printed_by(place.command, environ).strip(), f"the command {place.command[0]:.{_SHOWN}}"
    wrong = ended(end_of(text, source))
    if wrong is not None:
        raise ConfigError(f"{source}: {wrong}")
    return Secret(text)


def end_of(text: str, source: str) -> datetime.datetime:
    """When a JWT ends (RFC 7519 §4.1.4). Raises ConfigError where it is none, or has no end."""
    claims = _claims(text)
    if claims is None:
        what = "holds no JWT, which has three parts with dots between"
        raise ConfigError(f"{source}: {what}; give the token alone, without quotes or JSON")
    expires = claims.get("exp")
    try:
        if isinstance(expires, int | float) and not isinstance(expires, bool):
            return datetime.datetime.fromtimestamp(expires, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise ConfigError(f"{source}: the JWT has no end (exp), and Entra refuses it; have its issuer give it one")


def ended(end: datetime.datetime, now: datetime.datetime | None = None) -> str | None:
    """What to say of an assertion that has ended; None where it has not."""
    if end > (now or datetime.datetime.now(datetime.UTC)):
        return None
    return f"the JWT ended at {end:%Y-%m-%dT%H:%M:%SZ}; look at what should renew it, and at this machine's clock"


def missing_command(command: Sequence[str]) -> str | None:
    """What to say of a command that can't be run; None where there is one."""
    if shutil.which(command[0]) is None:
        return f'"{command[0]:.{_SHOWN}}" is no command that can be run here; write its whole path, or install it'
    return None


def printed_by(command: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """What a command prints, run without a shell or a terminal; None: in our own environment. Raises ConfigError."""
    name = f"the command {command[0]:.{_SHOWN}}"
    try:
        # A session of its own, so that what it starts ends with it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environ,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not possible"
        raise ConfigError(f"{name} can't be run: {reason}; run it by hand as relay's user") from error
    with process:
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            raise ConfigError(f"{name} took longer than {SECONDS:.0f} s; run it by hand as relay's user") from error
    if process.returncode != 0:
        # What it wrote to standard error isn't shown: nobody knows what is in it.
        raise ConfigError(f"{name} ended with status {process.returncode}; run it by hand as relay's user to see why")
    if len(output) > _LARGEST:
        raise ConfigError(f"{name} printed more than a token; let it print that alone")
    return output.decode("utf-8", "replace")


def _claims(text: str) -> dict[str, Any] | None:
    parts = text.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        return None
    try:
        claims = json.loads(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None

"""The SMTP password that belongs to an IAM user's secret access key."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

_VERSION: Final = b"\x04"
_STEPS: Final = ("ses", "aws4_request", "SendRawEmail")


def smtp_password(secret_access_key: str, region: str) -> str:
    """Return the SMTP password for one region.

    Amazon's algorithm, version 4: https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html; the date in it is
    fixed, 11111111.
    """
    key = f"AWS4{secret_access_key}".encode()
    for step in ("11111111", region, *_STEPS):
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    return base64.b64encode(_VERSION + key).decode("ascii")

"""An assertion that AWS makes for the role of this machine, task or pod (outbound identity federation), by boto3.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html
"""

import importlib
import os
from typing import Any, Final

from relay.config.aws_secret import INSTALL, credential_trouble, installed, region_of
from relay.config.problems import ConfigError

SECONDS: Final = 300
"""How long an assertion holds; it is used at once."""

_LASTING: Final = {
    "AccessDenied": "AWS denies it; allow sts:GetWebIdentityToken to this role",
    "AccessDeniedException": "AWS denies it; allow sts:GetWebIdentityToken to this role",
    "OutboundWebIdentityFederationDisabled": (
        "outbound identity federation is off in this AWS account; type: aws iam enable-outbound-web-identity-federation"
    ),
}


def aws_assertion(audience: str) -> str:
    """The assertion for an audience. Blocks; raises ConfigError."""
    if not installed():
        raise ConfigError(INSTALL, passing=True)
    boto3 = importlib.import_module("boto3")
    exceptions = importlib.import_module("botocore.exceptions")
    config = importlib.import_module("botocore.config").Config(connect_timeout=5, read_timeout=10)
    try:
        service: Any = boto3.session.Session().client("sts", region_of("", os.environ), config=config)
        answer = service.get_web_identity_token(Audience=[audience], SigningAlgorithm="RS256", DurationSeconds=SECONDS)
    except exceptions.NoRegionError as error:
        raise ConfigError("the AWS region is not known; set AWS_REGION") from error
    except (OSError, exceptions.BotoCoreError, exceptions.ClientError) as error:
        raise _unavailable(error) from error
    return str(answer["WebIdentityToken"])


def _unavailable(error: Exception) -> ConfigError:
    response = getattr(error, "response", None)
    code = str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
    reason = code or type(error).__name__
    if reason in _LASTING:
        return ConfigError(f"an assertion of AWS: {_LASTING[reason]}")
    trouble = credential_trouble(reason) or "AWS STS cannot be reached"
    return ConfigError(f"an assertion of AWS: {trouble} ({reason}); it is tried again", passing=True)

"""Secrets of AWS Secrets Manager, by boto3 where that is installed."""

import importlib
import importlib.util
import json
import os
from collections.abc import Mapping
from typing import Any, Final

from relay.config.problems import ConfigError

INSTALL: Final = 'boto3 is not installed; type: pip install "relay-connector[aws]"'

# Answers that the same question will get again; all else may pass.
_LASTING: Final = {
    "ResourceNotFoundException": "AWS knows no such secret; check its name and region",
    "AccessDeniedException": "AWS denies it; allow secretsmanager:GetSecretValue to this role",
    "DecryptionFailure": "AWS can't decrypt it; allow kms:Decrypt to this role",
    "InvalidRequestException": "AWS can't give it; it may be marked for deletion: restore it",
    "InvalidParameterException": "AWS takes this for no secret's ID; check it",
    "ValidationException": "AWS takes this for no secret's ID; check it",
}


_NONE: Final = "AWS credentials were not found: give this machine, task or pod a role"
_REFUSED: Final = "AWS does not take the credentials"
_CREDENTIALS: Final = {
    "NoCredentialsError": _NONE,
    "PartialCredentialsError": "the AWS credentials are incomplete",
    "CredentialRetrievalError": _NONE,
    "UnrecognizedClientException": _REFUSED,
    "InvalidClientTokenId": _REFUSED,
    "SignatureDoesNotMatch": f"{_REFUSED}: the secret access key or the clock is wrong",
    "InvalidSignatureException": f"{_REFUSED}: the secret access key or the clock is wrong",
    "ExpiredTokenException": _REFUSED,
}


def installed() -> bool:
    """Whether boto3 is there."""
    return importlib.util.find_spec("boto3") is not None


def aws_secret(secret_id: str, key: str | None, client: Any = None) -> str:
    """The secret's text, or with a key that member of its JSON object. Blocks; raises ConfigError.

    `client` is boto3's for `secretsmanager`, made here unless given.
    """
    service = client or _client(secret_id)
    try:
        answer = service.get_secret_value(SecretId=secret_id)
    except _failures() as error:
        raise _unavailable(secret_id, error) from error
    text = answer.get("SecretString")
    if not isinstance(text, str):
        raise ConfigError(f"{secret_id}: holds octets, not text; store it as a text")
    return text if key is None else _member(secret_id, text, key)


def credential_trouble(reason: str) -> str | None:
    """What is wrong with the credentials, by the name of an exception; None where it is about something else."""
    return _CREDENTIALS.get(reason)


def region_of(secret_id: str, environ: Mapping[str, str]) -> str | None:
    """The region in which a secret is: its ARN's, or the machine's; None where boto3 has to know it.

    ECS, EKS and Lambda set AWS_REGION, of which boto3 knows nothing: it reads AWS_DEFAULT_REGION.
    """
    parts = secret_id.split(":")
    if len(parts) > 6 and parts[0] == "arn":
        return parts[3]
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None


def _client(secret_id: str) -> Any:
    if not installed():
        raise ConfigError(INSTALL, passing=True)
    boto3 = importlib.import_module("boto3")
    config = importlib.import_module("botocore.config").Config(connect_timeout=5, read_timeout=10)
    try:
        # A session of its own: boto3's default one keeps the credentials that it found first.
        session = boto3.session.Session()
        return session.client("secretsmanager", region_of(secret_id, os.environ), config=config)
    except _failures() as error:
        if type(error).__name__ == "NoRegionError":
            raise ConfigError(f"{secret_id}: the region is not known; set AWS_REGION, or write its ARN") from error
        raise ConfigError(f"{secret_id}: boto3 can't be used ({type(error).__name__}); see AWS_PROFILE") from error


def _failures() -> tuple[type[Exception], ...]:
    if not installed():
        return (OSError,)
    exceptions = importlib.import_module("botocore.exceptions")
    return (OSError, exceptions.BotoCoreError, exceptions.ClientError)


def _unavailable(secret_id: str, error: Exception) -> ConfigError:
    response = getattr(error, "response", None)
    code = str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
    if code in _LASTING:
        return ConfigError(f"{secret_id}: {_LASTING[code]}")
    reason = code or type(error).__name__
    trouble = credential_trouble(reason)
    if trouble is not None:
        return ConfigError(f"{secret_id}: {trouble} ({reason}); it is tried again", passing=True)
    return ConfigError(
        f"{secret_id}: AWS Secrets Manager cannot be reached ({reason}); it is tried again", passing=True
    )


def _member(secret_id: str, text: str, key: str) -> str:
    try:
        members = json.loads(text)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise ConfigError(f'{secret_id}: is no JSON object, so it has no "{key}"; leave key out')
    value = members.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f'{secret_id}: has no text under "{key}"; its keys are {", ".join(sorted(members))}')
    return value

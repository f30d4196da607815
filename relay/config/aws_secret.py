"""Secrets of AWS Secrets Manager, by boto3 where that is installed."""

import importlib
import importlib.util
import json
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


def installed() -> bool:
    """Whether boto3 is there."""
    return importlib.util.find_spec("boto3") is not None


def aws_secret(secret_id: str, key: str | None, client: Any = None) -> str:
    """The secret's text, or with a key that member of its JSON object. Blocks; raises ConfigError.

    `client` is boto3's for `secretsmanager`, made here unless given.
    """
    service = client or _client()
    try:
        answer = service.get_secret_value(SecretId=secret_id)
    except _failures() as error:
        raise _unavailable(secret_id, error) from error
    text = answer.get("SecretString")
    if not isinstance(text, str):
        raise ConfigError(f"{secret_id}: holds octets, not text; store it as a text")
    return text if key is None else _member(secret_id, text, key)


def _client() -> Any:
    if not installed():
        raise ConfigError(INSTALL, passing=True)
    boto3 = importlib.import_module("boto3")
    config = importlib.import_module("botocore.config").Config(connect_timeout=5, read_timeout=10)
    try:
        return boto3.client("secretsmanager", config=config)
    except _failures() as error:
        raise ConfigError(f"boto3 can't be used ({type(error).__name__}); set AWS_REGION") from error


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

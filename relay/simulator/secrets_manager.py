"""AWS Secrets Manager: GetSecretValue."""

from __future__ import annotations

import base64
import json
import time

from relay.simulator.aws_account import ACCOUNT, AwsAccount, AwsRefusal
from relay.simulator.http_server import Request, Response
from relay.simulator.options import Options

TARGET = "secretsmanager."


class SecretsManager:
    """`secrets` are texts (or octets) by name; `requests` counts."""

    def __init__(self, options: Options, account: AwsAccount) -> None:
        self._options = options
        self._account = account
        self.secrets: dict[str, str | bytes] = {}
        self.requests = 0

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        self.requests += 1
        try:
            return self._value(request)
        except AwsRefusal as refused:
            return Response.json({"__type": refused.code, "Message": refused.message}, refused.status)

    def _value(self, request: Request) -> Response:
        key = self._account.signer(request, "secretsmanager")
        if request.headers.get("x-amz-target") != f"{TARGET}GetSecretValue":
            raise AwsRefusal("UnknownOperationException", "")
        try:
            name = str(json.loads(request.body)["SecretId"])
        except (ValueError, KeyError, TypeError):
            raise AwsRefusal("ValidationException", "SecretId is missing") from None
        arn = f"arn:aws:secretsmanager:{self._options.ses_region}:{ACCOUNT}:secret:{name}"
        self._account.permit(key, "secretsmanager:GetSecretValue", arn)
        if name not in self.secrets:
            raise AwsRefusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        value = self.secrets[name]
        octets = base64.b64encode(value).decode() if isinstance(value, bytes) else ""
        shown = {"SecretString": value} if isinstance(value, str) else {"SecretBinary": octets}
        return Response.json({"ARN": arn, "Name": name, "CreatedDate": time.time(), **shown})

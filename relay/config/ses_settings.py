"""[upstream.NAME] with type = "ses": Amazon SES by its SMTP endpoint, or by its API."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from relay.config.mistake import mistake
from relay.config.quantities import Size
from relay.config.secret_reference import SecretPlace
from relay.config.section import Count, Line
from relay.config.upstream_settings import UpstreamSettings

LARGEST: Final = 40 << 20
"""Octets of a message that Amazon SES takes by SMTP and by its API v2; above 10 MB it is slower."""

IMPLICIT_PORTS: Final = (465, 2465)
"""Where the SMTP endpoint is in TLS from the start; at 25, 587 and 2587 it offers STARTTLS."""

_REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")

# The domains of AWS's partitions, by how the names of their regions begin.
_DOMAINS: Final[Mapping[str, str]] = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}


def _region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise mistake(f'"{value:.40}" is not a region of AWS', 'write it like "ap-southeast-2"')
    return value


class SesSettings(UpstreamSettings):
    """Amazon SES: 50 recipients a message."""

    type: Literal["ses"] = Field(default="ses", description="Amazon SES by its SMTP endpoint or its API")
    via: Literal["smtp", "api"] = Field(
        default="smtp",
        description="smtp, or api: HTTPS with the credentials that the machine has (a role, as boto3 finds it)",
    )
    region: Annotated[str, AfterValidator(_region)] = Field(default="", description="the AWS region; it gives the host")
    username: Line | None = Field(
        default=None, description="smtp: the SMTP user name; with secret_access_key: the ID of that access key"
    )
    password: SecretPlace | None = Field(default=None, description="smtp: the SMTP password, derived for this region")
    secret_access_key: SecretPlace | None = Field(
        default=None, description="instead of password: the secret access key of an IAM user, for smtp and api"
    )
    max_message_size: Size | None = Field(default=LARGEST, gt=0, description="larger messages are refused at once")
    recipients_per_message: Count = Field(default=50, description="larger envelopes are split")

    @model_validator(mode="before")
    @classmethod
    def _by_region(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        defaults = _defaults_of(value)
        region = str(value.get("region"))
        if _REGION.fullmatch(region):
            domain = next((one for start, one in _DOMAINS.items() if region.startswith(start)), "amazonaws.com")
            service = "email" if value.get("via") == "api" else "email-smtp"
            defaults["host"] = f"{service}.{region}.{domain}"
        return defaults | value


def _defaults_of(table: Mapping[str, object]) -> dict[str, object]:
    """The port tells the security, and the other way round."""
    if table.get("via") == "api":
        return {"port": 443, "security": "implicit"}
    if "port" in table:
        return {"security": "implicit"} if table["port"] in IMPLICIT_PORTS else {}
    return {"port": 465} if table.get("security") == "implicit" else {}

"""[upstream.NAME] of the types gmail, smtp and capture."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from relay.config.mistake import mistake
from relay.config.nearest import choice
from relay.config.presets import PRESETS, host_of
from relay.config.providers import provider_at
from relay.config.quantities import Duration, Size
from relay.config.secret_reference import SecretPlace
from relay.config.section import Count, FilePath, Line, MailAddress, https_url, several
from relay.config.upstream_settings import UpstreamSettings

Auth = Literal["auto", "none", "plain", "login", "cram-md5", "xoauth2", "oauthbearer"]

_DOMAIN: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,62}")
_PERSONAL: Final = ("@gmail.com", "@googlemail.com")
_PORTS: Final = {"starttls": 587, "implicit": 465, "none": 25}


def _preset(value: str) -> str:
    if value not in PRESETS:
        raise mistake(f'there is no preset "{value:.40}"', f"{choice(value, PRESETS)}, or give host and port instead")
    return value


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise mistake(f'"{value:.80}" is not a domain', 'write it like "clinic.test"')
    return value


class GmailSettings(UpstreamSettings):
    """Gmail and Google Workspace: 100 recipients a message; 10,000 a day, 500 for a personal account."""

    type: Literal["gmail"] = Field(default="gmail", description="Gmail or Google Workspace")
    host: str = Field(default="smtp.gmail.com", description="the name or address of its server")
    preset: Literal["workspace-relay"] | None = Field(
        default=None, description="workspace-relay: Workspace's relay service, with a login"
    )
    username: Line = Field(default="", description="the account's address")
    app_password: SecretPlace | None = Field(
        default=None, description="16 letters; spaces as Google prints them are fine"
    )
    service_account: SecretPlace | None = Field(
        default=None, description="Workspace: the JSON key of a service account with domain-wide delegation"
    )
    mailbox: MailAddress | None = Field(default=None, description="with service_account: the mailbox that sends")
    client_id: Line = Field(default="", description="the ID of the OAuth client by which a user signs in")
    client_secret: SecretPlace | None = Field(default=None, description="with client_id: that client's secret")
    refresh_token: SecretPlace | None = Field(
        default=None, description="with client_id: the user's, got elsewhere; without it: relay login"
    )
    authority: Annotated[str, AfterValidator(https_url)] = Field(
        default="", description="where tokens come from; default: the service account's token_uri, or Google's own"
    )
    may_send_as: Annotated[tuple[MailAddress, ...], BeforeValidator(several)] = Field(
        default=(), description="the addresses, besides the account's own, that it may send as"
    )
    max_connections: Count = Field(default=5, description="connections open at once")
    recipients_per_day: Count | None = Field(default=10000, description="recipients in any 24 hours")
    max_message_size: Size | None = Field(default=35_882_577, gt=0, description="larger messages are refused at once")

    @model_validator(mode="before")
    @classmethod
    def _by_account(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        if value.get("preset") == "workspace-relay":
            return dict(PRESETS["workspace-relay"]) | value
        if str(value.get("username", "")).casefold().endswith(_PERSONAL):
            return {"recipients_per_day": 500} | value
        return value

    @property
    def account(self) -> str | None:
        """The mailbox, or the address that logs in."""
        return self.mailbox or (self.username if "@" in self.username else None)


class SmtpSettings(UpstreamSettings):
    """Any SMTP server: an ISP, Microsoft's connector on port 25, another relay."""

    type: Literal["smtp"] = Field(default="smtp", description="any other SMTP server")
    preset: Annotated[str, AfterValidator(_preset)] | None = Field(
        default=None, description=f"a service known by name, which sets what follows: {', '.join(PRESETS)}"
    )
    auth: Auth = Field(default="auto", description="the mechanism; auto: the best that both sides know")
    domain: Annotated[str, AfterValidator(_domain)] | None = Field(
        default=None, description='preset = "connector": a domain of the tenant, whose mail host it gives'
    )
    username: Line | None = Field(default=None, description="the user name there")
    password: SecretPlace | None = Field(
        default=None, description="the password there; with xoauth2 and oauthbearer an access token"
    )
    client_certificate: FilePath | None = Field(
        default=None, description="one PEM file with the certificate that we show, its chain and its key; watched"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_preset(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        preset = PRESETS.get(str(value.get("preset")), {})
        security = value.get("security", preset.get("security", "starttls"))
        by_security = _PORTS.get(str(security), 587)
        port = by_security if "security" in value and security != preset.get("security") else None
        keys = {key: default for key, default in preset.items() if key in cls.model_fields}
        host = host_of(str(value.get("preset")), str(value["domain"])) if "domain" in value else None
        defaults = {"port": by_security} | keys | ({"port": port} if port else {}) | ({"host": host} if host else {})
        return defaults | value

    @property
    def account(self) -> str | None:
        """Microsoft and Google mind the From also of those who log in to them by this type."""
        minds = provider_at(self.host) in {"microsoft365", "gmail"}
        return self.username if minds and self.username is not None and "@" in self.username else None

    @property
    def own_senders(self) -> tuple[str, ...]:
        """Google's relay service sends as anybody of the organisation's domains."""
        return () if self.host.casefold() == "smtp-relay.gmail.com" else super().own_senders


class CaptureSettings(UpstreamSettings):
    """Keeps the mail in state_dir/capture/NAME (maildir) instead of sending it."""

    type: Literal["capture"] = Field(default="capture", description="keeps the mail in a maildir: training, tests")
    keep: Duration = Field(default=7 * 86400.0, description="how long the mail is kept")
    max_connections: Count = Field(default=4, description="messages stored at once")
    recipients_per_message: Count = Field(default=10000, description="larger envelopes are split")

"""[upstream.NAME] with type = "microsoft365"; limits of Exchange Online per mailbox as Microsoft publishes them."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from relay.config.expiry_date import ExpiryDate
from relay.config.listener_settings import PrivateKey
from relay.config.mistake import mistake
from relay.config.presets import PRESETS
from relay.config.quantities import Size
from relay.config.secret_reference import SecretPlace
from relay.config.section import Count, FilePath, Line, MailAddress, Section, https_url, several
from relay.config.upstream_settings import UpstreamSettings

Credential = Literal["client_secret", "certificate", "device_code", "managed_identity", "federated"]
Cloud = Literal["public", "us-gov-high", "us-gov-dod", "china"]

# Host of SMTP, host of the authority, audience of a token.
CLOUDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "public": ("smtp.office365.com", "login.microsoftonline.com", "outlook.office365.com"),
    "us-gov-high": ("smtp.office365.us", "login.microsoftonline.us", "outlook.office365.us"),
    "us-gov-dod": ("outlook-dod.office365.us", "login.microsoftonline.us", "outlook-dod.office365.us"),
    "china": ("smtp.partner.outlook.cn", "login.partner.microsoftonline.cn", "partner.outlook.cn"),
}

GRAPHS: Final[Mapping[str, str]] = {
    "public": "graph.microsoft.com",
    "us-gov-high": "graph.microsoft.us",
    "us-gov-dod": "dod-graph.microsoft.us",
    "china": "microsoftgraph.chinacloudapi.cn",
}
"""Graph's host, which is also the audience of its tokens: learn.microsoft.com/graph/deployments."""

DELEGATED_SCOPE: Final = "https://outlook.office.com/SMTP.Send"
"""A person's sign-in asks for this in the public cloud, elsewhere for the same of the cloud's audience; msal adds
offline_access itself."""

CREDENTIAL_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "client_secret": ("client_secret", "client_secret_expires"),
    "certificate": ("certificate", "private_key", "pfx", "passphrase"),
    "federated": ("assertion",),
    "managed_identity": ("identity",),
    "device_code": (),
}
"""Which keys belong to which credential."""

_SMTP_PORTS: Final = frozenset({25, 465, 587})
_GUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DOMAIN: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,62}")


class Assertion(Section):
    """Where the assertion of a federated credential comes from: a file, what a command prints, or AWS."""

    file: FilePath | None = Field(default=None, description="the file with the assertion; read anew for every token")
    command: Annotated[tuple[Line, ...], BeforeValidator(several)] = Field(
        default=(), description="a command and its arguments; its output is the assertion"
    )

    aws: Line | None = Field(
        default=None, description="the audience for which AWS makes one, for the role of this machine, task or pod"
    )

    @model_validator(mode="after")
    def _one_form(self) -> "Assertion":
        if (self.file is not None) + bool(self.command) + (self.aws is not None) != 1:
            cure = 'write { file = "..." }, { command = ["..."] } or { aws = "api://AzureADTokenExchange" }'
            raise mistake("needs a file, a command or aws", cure)
        return self


def _tenant(value: str) -> str:
    if not (_GUID.fullmatch(value) or _DOMAIN.fullmatch(value)):
        raise mistake(
            f'"{value:.80}" is neither a tenant\'s ID nor its domain',
            "copy the Directory (tenant) ID from the app's Overview in the Entra admin center",
        )
    return value


def _client_id(value: str) -> str:
    if not _GUID.fullmatch(value):
        raise mistake(
            f'"{value:.80}" is not an application\'s ID',
            "copy the Application (client) ID from the app's Overview in the Entra admin center",
        )
    return value


def _identity(value: str) -> str:
    if not (_GUID.fullmatch(value) or value.startswith("/subscriptions/")):
        raise mistake(
            f'"{value:.80}" is neither a managed identity\'s client ID nor its resource ID',
            "copy the Client ID from its Overview in the Azure portal",
        )
    return value


class Microsoft365Settings(UpstreamSettings):
    """Exchange Online by XOAUTH2: 3 connections, 30 messages a minute, 10,000 recipients a day, 500 a message."""

    type: Literal["microsoft365"] = Field(default="microsoft365", description="Microsoft 365 by XOAUTH2")
    preset: Literal["hve"] | None = Field(
        default=None, description="hve: High Volume Email, to the tenant's own recipients only, as many as there are"
    )
    mailbox: MailAddress = Field(
        description="the mailbox that sends, licensed and with SMTP AUTH switched on",
        examples=['"no-reply@clinic.test"'],
    )
    may_send_as: Annotated[tuple[MailAddress, ...], BeforeValidator(several)] = Field(
        default=(), description="the addresses, besides the mailbox, that it has the right to send as"
    )
    tenant: Annotated[str, AfterValidator(_tenant)] = Field(
        default="", description="the Directory (tenant) ID, or a domain of the tenant"
    )
    client_id: Annotated[str, AfterValidator(_client_id)] = Field(
        default="", description="the Application (client) ID of the app registration"
    )
    credential: Credential = Field(
        description="how the relay proves that it is that application", examples=['"client_secret"']
    )
    client_secret: SecretPlace | None = Field(default=None, description="client_secret: the secret's value, not its ID")
    client_secret_expires: ExpiryDate | None = Field(
        default=None, description="client_secret: the day on which it ends, as Entra shows it (nobody else knows it)"
    )
    certificate: FilePath | None = Field(default=None, description="certificate: its PEM file")
    private_key: PrivateKey | None = Field(default=None, description="certificate: its private key, a path or a secret")
    pfx: FilePath | None = Field(default=None, description="certificate: both in one PFX (PKCS #12) file")
    passphrase: SecretPlace | None = Field(default=None, description="certificate: of the private key or the PFX file")
    assertion: Assertion | None = Field(default=None, description="federated: where the assertion comes from")
    identity: Annotated[Line, AfterValidator(_identity)] | None = Field(
        default=None,
        description="managed_identity: the client ID, or resource ID, of a user-assigned one; default: system-assigned",
    )
    cloud: Cloud = Field(default="public", description="the national cloud of the tenant")
    via: Literal["smtp", "graph"] = Field(
        default="smtp",
        description="smtp, or graph (HTTPS, host graph.microsoft.com) where the tenant has SMTP AUTH switched off",
    )
    authority: Annotated[str, AfterValidator(https_url)] = Field(
        default="", description="where tokens come from; default: the cloud's, with the tenant"
    )
    scope: Line = Field(default="", description="what the token is for; default: the cloud's, by credential")
    max_connections: Count = Field(default=3, description="connections open at once; default with via graph: 4")
    messages_per_minute: Count | None = Field(default=30, description="messages in any 60 seconds, counted at MAIL")
    recipients_per_day: Count | None = Field(default=10000, description="recipients in any 24 hours")
    recipients_per_message: Count = Field(default=500, description="larger envelopes are split")
    max_message_size: Size | None = Field(default=150 << 20, gt=0, description="larger messages are refused at once")

    @model_validator(mode="before")
    @classmethod
    def _by_cloud(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        credential = value.get("credential") or _credential_meant(value)
        cloud = str(value.get("cloud", "public"))
        cloud = cloud if cloud in CLOUDS else "public"
        login = CLOUDS[cloud][1]
        by_graph = value.get("via") == "graph"
        defaults = _graph_defaults(cloud, credential) if by_graph else _smtp_defaults(cloud, credential)
        if value.get("preset") == "hve":
            # The limits of a mailbox are not those of a High Volume Email account.
            defaults |= {key: hve for key, hve in PRESETS["hve"].items() if key != "auth"}
            defaults |= {"messages_per_minute": None, "recipients_per_day": None}
        tenant = str(value.get("tenant", ""))
        if _GUID.fullmatch(tenant) or _DOMAIN.fullmatch(tenant):
            defaults["authority"] = f"https://{login}/{tenant}"
        if credential is not None:
            defaults["credential"] = credential
        return defaults | value

    @model_validator(mode="after")
    def _https(self) -> "Microsoft365Settings":
        if self.via == "graph" and self.preset is not None:
            raise mistake(f'preset = "{self.preset}" is for SMTP, not for via = "graph"', "leave one of the two out")
        if self.via == "graph" and self.security != "implicit":
            raise mistake('security is not for via = "graph", which is HTTPS always', "leave it out")
        if self.via == "graph" and (self.port in _SMTP_PORTS or self.host in {smtp for smtp, _, _ in CLOUDS.values()}):
            raise mistake('host and port are those of SMTP, and via = "graph" is HTTPS', "leave both out")
        return self

    @property
    def account(self) -> str | None:
        """The mailbox."""
        return self.mailbox


def _smtp_defaults(cloud: str, credential: object) -> dict[str, object]:
    smtp, _, audience = CLOUDS[cloud]
    scope = f"https://{audience}/.default"
    if credential == "device_code":
        scope = DELEGATED_SCOPE if cloud == "public" else f"https://{audience}/SMTP.Send"
    return {"host": smtp, "scope": scope}


def _graph_defaults(cloud: str, credential: object) -> dict[str, object]:
    graph = GRAPHS[cloud]
    scope = f"https://{graph}/{'Mail.Send' if credential == 'device_code' else '.default'}"
    return {
        "host": graph,
        "port": 443,
        "security": "implicit",
        "scope": scope,
        "max_connections": 4,
        "max_message_size": "150MiB",
    }


def _credential_meant(table: Mapping[str, object]) -> str | None:
    """The credential whose keys are there, where they are of one only."""
    meant = [credential for credential, keys in CREDENTIAL_KEYS.items() if any(key in table for key in keys)]
    return meant[0] if len(meant) == 1 else None

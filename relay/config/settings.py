"""All of relay.toml, with every default resolved. Attribute names are the keys of the file."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from relay.config.client_settings import ClientSettings, IdentitySettings, SenderPolicy
from relay.config.listener_settings import DEFAULT_LISTENER, ListenerSettings, TlsSettings, default_listener
from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.operating_settings import (
    AlertSettings,
    ConsoleSettings,
    LogSettings,
    MetricsSettings,
    QueueSettings,
)
from relay.config.provider_settings import CaptureSettings, GmailSettings, SmtpSettings
from relay.config.section import FilePath, Host, Section
from relay.config.ses_settings import SesSettings
from relay.config.upstream_settings import UpstreamSettings

AnyUpstream: TypeAlias = Microsoft365Settings | GmailSettings | SesSettings | SmtpSettings | CaptureSettings
"""One class a type; all share UpstreamSettings."""

UPSTREAM_TYPES: Final[Mapping[str, type[UpstreamSettings]]] = {
    "microsoft365": Microsoft365Settings,
    "gmail": GmailSettings,
    "ses": SesSettings,
    "smtp": SmtpSettings,
    "capture": CaptureSettings,
}

# These providers rewrite or refuse a From that isn't the account's.
_OWN_FROM_ONLY: Final = frozenset({"microsoft365", "gmail"})


def machine_name() -> str:
    """The machine's FQDN, or its bare name where it has none."""
    name = socket.gethostname()
    full = name if "." in name else socket.getfqdn()
    return full if "." in full and not full.startswith(("localhost", "ip6-")) else name or "localhost"


def default_state_dir() -> Path:
    """/var/lib/relay for root, else ~/.local/state/relay; under systemd the unit's StateDirectory (systemd.exec(5))."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    return Path("/var/lib/relay") if os.geteuid() == 0 else Path.home() / ".local/state/relay"


class GeneralSettings(Section):
    """The keys above the first table."""

    hostname: Host = Field(
        default_factory=machine_name, description="name in the banner and in EHLO; default: the machine's FQDN"
    )
    state_dir: FilePath = Field(
        default_factory=default_state_dir,
        description="queue, sealed store, tokens; default: /var/lib/relay for root, else ~/.local/state/relay",
    )


class Settings(GeneralSettings):
    """Everything an operator decides."""

    tls: TlsSettings | None = Field(
        default=None, description="our certificate; absent: a local authority and a leaf are made in state_dir"
    )
    queue: QueueSettings = Field(
        default_factory=QueueSettings, validate_default=True, description="where mail waits, and how long"
    )
    upstream: Mapping[str, Annotated[AnyUpstream, Field(discriminator="type")]] = Field(
        default_factory=dict, description="the providers, by name"
    )
    listener: Mapping[str, ListenerSettings] = Field(
        default_factory=lambda: {DEFAULT_LISTENER: default_listener()},
        description='where applications connect, by name; default: "submission", starttls, 127.0.0.1:2525',
    )
    client: Mapping[str, ClientSettings] = Field(default_factory=dict, description="the applications, by name")
    identity: Mapping[str, IdentitySettings] = Field(default_factory=dict, description="the faces, by name")
    alerts: AlertSettings = Field(default_factory=AlertSettings, description="who is told when something is wrong")
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="Prometheus metrics and health")
    console: ConsoleSettings = Field(default_factory=ConsoleSettings, description="the web console")
    log: LogSettings = Field(default_factory=LogSettings, description="the log")

    @field_validator("queue")
    @classmethod
    def _queue_in_state_dir(cls, queue: QueueSettings, info: ValidationInfo) -> QueueSettings:
        if queue.url or "state_dir" not in info.data:
            return queue
        return queue.model_copy(update={"url": f"sqlite:///{info.data['state_dir'] / 'queue.db'}"})

    @field_validator("upstream")
    @classmethod
    def _ehlo_with_hostname(
        cls, upstreams: Mapping[str, AnyUpstream], info: ValidationInfo
    ) -> Mapping[str, AnyUpstream]:
        name = info.data.get("hostname", "")
        return {
            key: upstream if upstream.ehlo_name else upstream.model_copy(update={"ehlo_name": name})
            for key, upstream in upstreams.items()
        }

    @field_validator("client")
    @classmethod
    def _deadline_with_queue(
        cls, clients: Mapping[str, ClientSettings], info: ValidationInfo
    ) -> Mapping[str, ClientSettings]:
        queue = info.data.get("queue")
        if queue is None:
            return clients
        return {
            key: client if client.deadline else client.model_copy(update={"deadline": queue.give_up})
            for key, client in clients.items()
        }

    def sender_policy(self, client: str, upstream: str) -> SenderPolicy:
        """What becomes of a From of this client that this upstream may not send as.

        The client may be gone: its mail waits longer than its table.
        """
        ours = self.client.get(client)
        if ours is not None and ours.sender_policy is not None:
            return ours.sender_policy
        return "rewrite" if self.upstream[upstream].type in _OWN_FROM_ONLY else "keep"

    def give_up_after(self, client: str | None) -> float:
        """Seconds from acceptance until a message of this client bounces."""
        deadline = self.client[client].deadline if client is not None and client in self.client else None
        return min(deadline or self.queue.give_up, self.queue.give_up)

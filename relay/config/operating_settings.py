"""[queue], [alerts], [metrics], [console] and [log]."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StrictInt, ValidationInfo

from relay.config.client_settings import GIVE_UP, MailAddresses
from relay.config.endpoint import Address, Endpoint
from relay.config.mistake import mistake
from relay.config.quantities import Duration, Size
from relay.config.secret_reference import SecretPlace
from relay.config.section import FOLDER, Line, Section

_WITH_PASSWORD: Final = re.compile(r"://[^/@?#]*:[^/@?#]*@|[?&]password=", re.IGNORECASE)
_SQLITE: Final = re.compile(r"sqlite:///[^?#\0]+")
_POSTGRESQL: Final = re.compile(r"(postgres|postgresql)(\+psycopg)?://[^\s\0]*")


def _queue_url(value: str, info: ValidationInfo) -> str:
    # The URL is never quoted: it may hold a password.
    if _WITH_PASSWORD.search(value):
        raise mistake(
            "a password in the URL is refused",
            'take it out of the URL and add password = { env = "RELAY_DB_PASSWORD" } to [queue]',
        )
    if not (_SQLITE.fullmatch(value) or _POSTGRESQL.fullmatch(value)):
        raise mistake(
            "not the URL of a queue",
            'write "sqlite:////var/lib/relay/queue.db" (four slashes: an absolute path) or "postgresql://user@host/db"',
        )
    path = value.removeprefix("sqlite:///")
    if path != value and not path.startswith("/") and info.context:
        return f"sqlite:///{info.context[FOLDER]}/{path}"
    return value


class QueueSettings(Section):
    """Where mail waits, and how long."""

    url: Annotated[str, AfterValidator(_queue_url)] = Field(
        default="", description="sqlite:////PATH or postgresql://USER@HOST/DATABASE; default: queue.db in state_dir"
    )
    password: SecretPlace | None = Field(default=None, description="the PostgreSQL user's password")
    retry_first: Duration = Field(
        default=30.0,
        description="the first pause after a deferral, a refused connection or a held upstream's probe; then doubling",
    )
    retry_most: Duration = Field(default=3600.0, description="no pause is longer")
    jitter: float = Field(default=0.2, ge=0.0, lt=1.0, strict=True, description="± of each pause, as a part of it")
    give_up: Duration = Field(
        default=GIVE_UP, description="then a bounce; time in which the upstream is held doesn't count"
    )
    delay_notice: Duration = Field(default=4 * 3600.0, description="when senders that asked for it hear of a delay")
    retry_ambiguous: Duration = Field(
        default=300.0, description="no reply after the final dot: the pause before trying again"
    )
    ambiguous_attempts: Annotated[StrictInt, Field(ge=1, le=1000)] = Field(
        default=3, description="how often that is tried before the message is held for a person"
    )
    reserve: Size = Field(
        default=16 << 20, description="free space below which no mail is accepted, while settlements go on"
    )
    keep_trace: Duration = Field(
        default=90 * 86400.0, description="how long the record of each message (not its content) is kept"
    )


class AlertSettings(Section):
    """Who is told when an upstream is held, a secret is about to expire or mail is stuck; and when that is over."""

    to: MailAddresses = Field(default=(), description="who gets alerts by mail")
    upstream: Line | None = Field(default=None, description="the upstream alerts go by; default: any that is open")
    webhook: SecretPlace | None = Field(
        default=None, description="the https URL (a secret) to which alerts are posted as JSON"
    )
    expiry_warning: Duration = Field(
        default=14 * 86400.0,
        description="how long before a secret or certificate ends to tell; told again 7 days and 1 day before",
    )
    stuck_after: Duration = Field(default=1800.0, description="mail that waits longer is stuck")


class MetricsSettings(Section):
    """Prometheus metrics and the health of the process."""

    address: Endpoint = Field(
        default=Address("127.0.0.1", 9225), description="where /metrics, /healthz and /readyz are served"
    )


class ConsoleSettings(Section):
    """The web console."""

    address: Endpoint | None = Field(
        default=None, description="where the console and its API are served; default: nowhere"
    )


class LogSettings(Section):
    """The log on standard error."""

    format: Literal["json", "text"] = Field(default="json", description="one JSON object a line, or text for people")
    level: Literal["debug", "info", "warning"] = Field(default="info", description="the least that is written")
    addresses: Literal["full", "masked", "none"] = Field(
        default="masked", description="how e-mail addresses are shown: they are patient data"
    )

"""What a simulator is asked to be: who exists in it, what it allows, where it listens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT_ID = "66666666-7777-8888-9999-000000000000"


@dataclass(frozen=True, slots=True)
class Options:
    """Everything has a default that works; ports are free ones where 0. `control_port` None: no controls over HTTP.

    `host`: the address to listen on; `names`: what clients call it besides, names or addresses, for the certificate.
    `directory`: where the certificates are kept and found again, made where missing; None: a temporary one.

    `cloud`: which of Microsoft's the tenant is in: public, us-gov-high, us-gov-dod, china.
    `may_send_as`: what the mailbox may put into From besides itself. `further_mailboxes` may be signed in to as well,
    each sending as itself. `token_lifetime` in seconds, `token_size` the least octets of an access token. `strict`:
    breaches of the protocol are refused, else only recorded. `rate_excess`: what happens to the 31st message of a
    minute. `null_reverse_path`: whether `MAIL FROM:<>` is refused where the real provider refuses it.
    Of the limits 0 is none.
    `device_code_approval` "automatic" signs in by itself. `keep_messages` and `keep_octets` bound what is remembered.
    """

    host: str = "127.0.0.1"
    microsoft365_port: int = 0
    gmail_port: int = 0
    gmail_implicit_port: int = 0
    ses_port: int = 0
    ses_implicit_port: int = 0
    authority_port: int = 0
    aws_port: int = 0
    aws_metadata_port: int = 0
    control_port: int | None = None
    directory: Path | None = None
    names: tuple[str, ...] = ()

    cloud: str = "public"
    tenant: str = TENANT
    client_id: str = CLIENT_ID
    client_secret: str = "simulated~client~secret"  # noqa: S105 (it opens nothing but the simulator)
    mailbox: str = "no-reply@clinic.test"
    may_send_as: tuple[str, ...] = ()
    further_mailboxes: tuple[str, ...] = ()
    gmail_user: str = "clinic@gmail.test"
    gmail_password: str = "the-real-password"  # noqa: S105
    google_client_id: str = "123456789012-simulated.apps.googleusercontent.com"
    google_client_secret: str = "GOCSPX-simulated-client-secret"  # noqa: S105
    gmail_app_password: str = "abcdefghijklmnop"  # noqa: S105
    ses_user: str = "AKIASIMULATEDSES0001"
    ses_password: str = "BSimulatedSesSmtpPassword/0123456789+abcdefg"  # noqa: S105
    ses_identities: tuple[str, ...] = ("@clinic.test",)
    ses_region: str = "ap-southeast-2"
    aws_access_key: str = "AKIASIMULATEDUSER001"
    aws_secret_key: str = "simulated/secret+access/key/0123456789ab"  # noqa: S105

    token_lifetime: int = 3599
    token_size: int = 3000
    device_code_interval: int = 1
    device_code_approval: str = "manual"

    strict: bool = True
    connections: int = 3
    messages_per_minute: int = 30
    rate_excess: str = "delay"
    recipients_per_day: int = 10_000
    gmail_messages_per_day: int = 2_000
    ses_messages_per_second: int = 0
    ses_recipients_per_day: int = 50_000
    null_reverse_path: str = "refuse"
    session_limit: float = 20 * 60.0
    idle_timeout: float = 5 * 60.0
    keep_messages: int = 10_000
    keep_octets: int = 2 * 1024**3

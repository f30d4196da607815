"""Makes the upstream that a table of the configuration describes."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.provider_settings import CaptureSettings, GmailSettings, SmtpSettings
from relay.config.secrets import Secrets
from relay.config.ses_settings import LARGEST, SesSettings
from relay.config.settings import Settings
from relay.config.upstream_settings import UpstreamSettings
from relay.config.withheld import withheld_variables
from relay.upstream.aws_client import AccessKey, AwsClient, Endpoint
from relay.upstream.capture import Capture
from relay.upstream.connection import Route
from relay.upstream.contract import Upstream
from relay.upstream.credentials import CredentialSource
from relay.upstream.google import app_password
from relay.upstream.google_tokens import GoogleTokens, google_purpose
from relay.upstream.graph import Graph
from relay.upstream.managed_identity import ManagedIdentityTokens
from relay.upstream.microsoft import MicrosoftTokens, token_purpose
from relay.upstream.passwords import KeptPassword, NoCredential
from relay.upstream.proxy import proxy_of
from relay.upstream.ses import SesApi
from relay.upstream.ses_password import smtp_password
from relay.upstream.smarthost import Smarthost
from relay.upstream.token_store import TokenStore
from relay.upstream.tokens import MailboxTokens
from relay.upstream.transaction import FINAL_REPLY_FACTOR
from relay.upstream.trust import Trust

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,127}")


def upstream_of(name: str, settings: Settings, secrets: Secrets) -> Upstream:
    """Return the upstream of `[upstream.NAME]`. Connects to nothing and reads nothing yet."""
    table = settings.upstream[name]
    if isinstance(table, CaptureSettings):
        return Capture(name, capture_directory(settings.state_dir, name), table.keep)
    if isinstance(table, SesSettings) and table.via == "api":
        return ses_api(name, table, secrets)
    if isinstance(table, Microsoft365Settings) and table.via == "graph":
        return graph_of(name, table, secrets, secrets.environ_without(withheld_variables(settings)))
    trust = Trust(table.verify, table.ca_file, getattr(table, "client_certificate", None))
    return Smarthost(
        name,
        _route_of(table, secrets),
        trust,
        credential_source(name, table, secrets, secrets.environ_without(withheld_variables(settings))),
        auth=getattr(table, "auth", "auto"),
        max_connections=table.max_connections,
        session_limit=table.session_limit,
        reencode_long_lines=table.long_lines == "reencode",
    )


def _route_of(table: UpstreamSettings, secrets: Secrets) -> Route:
    proxy, largest = proxy_of(table, secrets), table.max_message_size
    return Route(table.host, table.port, table.security, table.ehlo_name, table.timeout, proxy, largest)


def ses_api(name: str, table: SesSettings, secrets: Secrets) -> SesApi:
    """Return Amazon SES by its API."""
    patience = table.timeout * FINAL_REPLY_FACTOR
    url = f"https://{table.host}:{table.port}" if table.port != 443 else f"https://{table.host}"
    endpoint = Endpoint("sesv2", table.region, url, table.ca_file, table.verify, patience, proxy_of(table, secrets))

    def keys() -> AccessKey | None:
        if table.secret_access_key is None or table.username is None:
            return None
        return AccessKey(table.username, str(secrets.resolve(table.secret_access_key)))

    aws = AwsClient(endpoint, keys)
    largest = table.max_message_size or LARGEST
    return SesApi(name, table.host, aws, largest=largest, long_lines=table.long_lines == "reencode")


def graph_of(name: str, table: Microsoft365Settings, secrets: Secrets, environ: Mapping[str, str]) -> Upstream:
    """Return the upstream of a mailbox at Microsoft Graph."""
    return Graph(
        name,
        table.mailbox,
        _route_of(table, secrets),
        Trust(table.verify, table.ca_file),
        mailbox_tokens(name, table, secrets, environ),
        max_connections=table.max_connections,
        session_limit=table.session_limit,
    )


def capture_directory(state_dir: Path, name: str) -> Path:
    """Return the maildir of an upstream that captures; a name that is no file's name becomes a fingerprint."""
    plain = name if _PLAIN_NAME.fullmatch(name) else hashlib.sha256(name.encode("utf-8")).hexdigest()[:32]
    return state_dir / "capture" / plain


def credential_source(
    name: str, table: UpstreamSettings, secrets: Secrets, environ: Mapping[str, str]
) -> CredentialSource:
    """Return where the credential of an upstream comes from; a command that prints it finds `environ`."""
    if isinstance(table, Microsoft365Settings):
        return mailbox_tokens(name, table, secrets, environ)
    if isinstance(table, GmailSettings) and table.app_password is not None:
        return KeptPassword(table.host, table.username, table.app_password, secrets, app_password)
    if isinstance(table, GmailSettings):
        store = TokenStore(secrets.store, name, google_purpose(table))
        return MailboxTokens(name, table.account or table.username, store, GoogleTokens(name, table, secrets).fetch)
    if isinstance(table, SesSettings) and table.username:
        return _ses_password(table, table.username, secrets)
    if isinstance(table, SmtpSettings) and table.username and table.password is not None and table.auth != "none":
        bearer = table.auth in {"xoauth2", "oauthbearer"}
        return KeptPassword(table.host, table.username, table.password, secrets, bearer=bearer)
    return NoCredential()


def _ses_password(table: SesSettings, username: str, secrets: Secrets) -> CredentialSource:
    if table.secret_access_key is not None:
        derived = functools.partial(smtp_password, region=table.region)
        return KeptPassword(table.host, username, table.secret_access_key, secrets, derived)
    return KeptPassword(table.host, username, table.password, secrets) if table.password else NoCredential()


def mailbox_tokens(
    name: str, table: Microsoft365Settings, secrets: Secrets, environ: Mapping[str, str]
) -> MailboxTokens:
    """Return where the tokens for a mailbox at Microsoft 365 come from."""
    store = TokenStore(secrets.store, name, token_purpose(table))
    if table.credential == "managed_identity":
        return MailboxTokens(name, table.mailbox, store, ManagedIdentityTokens(table).fetch)
    return MailboxTokens(name, table.mailbox, store, MicrosoftTokens(name, table, secrets, environ).fetch)

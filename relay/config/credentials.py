"""Whether an upstream has what its way of signing in needs, and nothing that belongs to another way."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from relay.config.draft import Draft
from relay.config.microsoft365_settings import CREDENTIAL_KEYS, Microsoft365Settings
from relay.config.problems import Fault, KeyPath
from relay.config.provider_settings import GmailSettings, SmtpSettings
from relay.config.ses_settings import SesSettings


def unfit_credentials(draft: Draft, tables: Mapping[str, Any]) -> Iterator[Fault]:
    """What each upstream lacks, or has too much of. `tables` tells what was given, even where it is wrong."""
    for name, upstream in draft.upstreams.items():
        path, given = ("upstream", name), tables["upstream"][name]
        if isinstance(upstream, Microsoft365Settings):
            yield from _microsoft365(upstream, path, given)
        elif isinstance(upstream, GmailSettings):
            yield from _gmail(path, given, name)
        elif isinstance(upstream, SesSettings):
            yield from _ses(upstream, path, given, name)
        elif isinstance(upstream, SmtpSettings):
            yield from _smtp(upstream, path, given, name)


def _missing(path: KeyPath, key: str, add: str) -> Fault:
    return Fault((*path, key), f'"{key}" is missing; add {add}')


def _microsoft365(upstream: Microsoft365Settings, path: KeyPath, given: Mapping[str, Any]) -> Iterator[Fault]:
    credential = upstream.credential
    if credential is None:
        return  # the lenient draft of a table whose credential is missing or wrong
    if credential != "managed_identity":
        where = "from the app's Overview in the Entra admin center"
        if "tenant" not in given and "authority" not in given:
            yield _missing(path, "tenant", f'tenant = "...", the Directory (tenant) ID {where}')
        if "client_id" not in given:
            yield _missing(path, "client_id", f'client_id = "...", the Application (client) ID {where}')
    if credential == "client_secret" and "client_secret" not in given:
        yield _missing(path, "client_secret", f'client_secret = {{ sealed = "{path[-1]}" }}, which credential asks for')
    if credential == "federated" and "assertion" not in given:
        yield _missing(path, "assertion", 'assertion = { file = "..." }, { command = ["..."] } or { aws = "..." }')
    if credential == "certificate":
        yield from _certificate(path, given)
    for other, keys in CREDENTIAL_KEYS.items():
        for key in keys:
            if other != credential and key in given:
                cure = f'remove it, or write credential = "{other}"'
                yield Fault((*path, key), f'impossible with credential = "{credential}"; {cure}')


def _certificate(path: KeyPath, given: Mapping[str, Any]) -> Iterator[Fault]:
    if "pfx" in given:
        for key in ("certificate", "private_key"):
            if key in given:
                yield Fault((*path, key), f"impossible beside pfx, which holds both; keep either pfx or {key}")
    elif "certificate" not in given:
        yield _missing(
            path, "certificate", 'certificate = "m365.pem" and private_key = "m365.key", or pfx = "m365.pfx"'
        )
    elif "private_key" not in given:
        yield _missing(path, "private_key", 'private_key = "m365.key", which belongs to the certificate')


_BY_USER: Final = ("client_id", "client_secret", "refresh_token")


def _gmail(path: KeyPath, given: Mapping[str, Any], name: str) -> Iterator[Fault]:
    by_user = next((key for key in _BY_USER if key in given), None)
    if "service_account" in given:
        for key in ("app_password", *_BY_USER):
            if key in given:
                yield Fault((*path, key), "impossible beside service_account; remove one of the two")
        if "mailbox" not in given:
            yield _missing(path, "mailbox", 'mailbox = "no-reply@clinic.test", which service_account sends as')
        return
    if "username" not in given:
        yield _missing(path, "username", 'username = "clinic@gmail.com", the account\'s address')
    if by_user is not None:
        yield from _gmail_user(path, given, name, by_user)
    elif "app_password" not in given:
        yield _missing(path, "app_password", f'app_password = {{ sealed = "{name}" }}, made under myaccount.google.com')
    if "mailbox" in given:
        yield Fault((*path, "mailbox"), "impossible without service_account; remove it")


def _gmail_user(path: KeyPath, given: Mapping[str, Any], name: str, by_user: str) -> Iterator[Fault]:
    if "app_password" in given:
        yield Fault((*path, "app_password"), f"impossible beside {by_user}; remove one of the two")
    examples = ('client_id = "..."', f'client_secret = {{ sealed = "{name}" }}')
    # Without a refresh token somebody signs in by `relay login`.
    for key, example in zip(_BY_USER[:2], examples, strict=True):
        if key not in given:
            yield _missing(path, key, f"{example}, which {by_user} needs")


def _ses(upstream: SesSettings, path: KeyPath, given: Mapping[str, Any], name: str) -> Iterator[Fault]:
    if "region" not in given and (upstream.via == "api" or "host" not in given):
        yield _missing(path, "region", 'region = "ap-southeast-2", the AWS region that has your identities')
    if "secret_access_key" in given and "username" not in given:
        yield _missing(path, "username", 'username = "AKIA...", the ID of the access key')
    yield from _ses_by_api(upstream, path, given, name) if upstream.via == "api" else _ses_by_smtp(path, given, name)


def _ses_by_api(upstream: SesSettings, path: KeyPath, given: Mapping[str, Any], name: str) -> Iterator[Fault]:
    if upstream.security != "implicit":
        yield Fault((*path, "security"), 'impossible with via = "api", which is HTTPS; remove it')
    if "password" in given:
        cure = "remove it: the machine's role is used; or write secret_access_key"
        yield Fault((*path, "password"), f'impossible with via = "api"; {cure}')
    if "username" in given and "secret_access_key" not in given:
        add = f'secret_access_key = {{ sealed = "{name}" }}, or remove username: the machine\'s role is used'
        yield _missing(path, "secret_access_key", add)


def _ses_by_smtp(path: KeyPath, given: Mapping[str, Any], name: str) -> Iterator[Fault]:
    if "password" in given and "secret_access_key" in given:
        yield Fault((*path, "password"), "impossible beside secret_access_key; keep one of the two")
    elif "password" not in given and "secret_access_key" not in given:
        add = f'password = {{ sealed = "{name}" }}, and type: relay secret set {name}'
        yield _missing(path, "password", add)
    if "username" not in given and "secret_access_key" not in given:
        yield _missing(path, "username", 'username = "AKIA...", the SMTP user name; or via = "api" for a role')


def _no_host(upstream: SmtpSettings, path: KeyPath, given: Mapping[str, Any]) -> Fault:
    if upstream.preset != "connector":
        return _missing(path, "host", 'host = "mail.isp.test", the name of its server')
    if "domain" in given:
        return _missing(path, "host", f"host = the MX of {given['domain']} in the DNS: it can't be told from a hyphen")
    return _missing(path, "domain", 'domain = "clinic.test", a domain of the tenant, or host = its MX in the DNS')


def _smtp(upstream: SmtpSettings, path: KeyPath, given: Mapping[str, Any], name: str) -> Iterator[Fault]:
    if not upstream.host and "host" not in given and not ("domain" in given and upstream.domain is None):
        yield _no_host(upstream, path, given)
    if "domain" in given and upstream.preset != "connector":
        yield Fault((*path, "domain"), 'impossible without preset = "connector"; remove it')
    if upstream.preset == "connector" and upstream.security == "none":
        yield Fault((*path, "security"), "impossible with the connector: mail goes over the internet; remove it")
    if upstream.auth == "none":
        for key in ("username", "password"):
            if key in given:
                yield Fault((*path, key), 'impossible with auth = "none"; remove it, or write auth = "auto"')
        return
    if "username" in given and "password" not in given:
        add = f'password = {{ sealed = "{name}" }}, and type: relay secret set {name}'
        yield _missing(path, "password", add)
    if "password" in given and "username" not in given:
        yield _missing(path, "username", 'username = "...", to which the password belongs')
    if upstream.auth != "auto" and "username" not in given and "password" not in given:
        what = f'"username" is missing, which auth = "{upstream.auth}" needs'
        yield Fault((*path, "username"), f'{what}; add username and password, or write auth = "none"')

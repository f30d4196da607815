"""The names of this installation that stand in a diagnosis: upstream, mailbox, tenant, application."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from relay.config.providers import provider_of
from relay.config.secret_reference import SecretReference
from relay.config.upstream_settings import UpstreamSettings

Names: TypeAlias = Mapping[str, str]
"""What stands for each placeholder of `UNKNOWN`; one that is missing or empty is not known. `provider` tells whose
it is, `login` whether by token or password."""

UNKNOWN: Final[Names] = {
    "upstream": "UPSTREAM",
    "host": "HOST",
    "port": "PORT",
    "starttls": "-starttls smtp",
    "mailbox": "MAILBOX",
    "tenant": "TENANT-ID",
    "client_id": "APPLICATION-ID",
    "username": "USERNAME",
    "region": "REGION",
    "sender": "SENDER",
    "id": "ID",
    "domain": "DOMAIN",
    "authority": "https://login.microsoftonline.com/TENANT-ID",
    "scope": "https://outlook.office365.com/.default",
    "secret": "relay secret set NAME",
    "proxy": "PROXY",
    "proxy_host": "PROXY-HOST",
    "proxy_port": "PROXY-PORT",
    "proxy_username": "PROXY-USERNAME",
    "proxy_secret": "relay secret set NAME",
    "aadsts": "CODE",
    "audience": "AUDIENCE",
    "object_id": "OBJECT-ID",
    "user": "USER",
    "action": "ses:SendRawEmail",
    "resource": "ARN",
    "principal": "ROLE",
}
"""The placeholders, and what stands for a name that is not known."""

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_PLAIN: Final = re.compile(r"[\w.+=@:/-]+")
"""A name of other characters is not put into a line that somebody copies into a shell."""

_QUOTES: Final = r"[`'\"]?"
_DENIED: Final = re.compile(
    rf"User:? {_QUOTES}(?P<principal>arn:[\w:/.+=@-]+){_QUOTES} is not authorized to perform:? "
    rf"{_QUOTES}(?P<action>[\w:]+){_QUOTES} on resource:? {_QUOTES}(?P<resource>arn:[\w:/.+=@*-]+)"
)

_GOOGLE: Final = "https://oauth2.googleapis.com/token"

_SECRETS: Final = (
    "client_secret",
    "private_key",
    "passphrase",
    "app_password",
    "service_account",
    "password",
    "secret_access_key",
)


def filled(text: str, names: Names) -> str:
    """Return the text with its placeholders replaced; unknown names are in capitals, for a person to replace."""
    return _PLACEHOLDER.sub(lambda found: _name(found[1], names), text)


def names_in(said: str) -> Names:
    """Return what a refusal of AWS names: who, what, and the resource's ARN."""
    found = _DENIED.search(said)
    return found.groupdict() if found else {}


def names_of(name: str, upstream: UpstreamSettings | None, sender: str = "", message: str = "") -> Names:
    """Return what is known of an upstream, of a message's From, `sender`, and its ID, `message`. No secret is in it."""
    if upstream is None:
        return {"upstream": name, "sender": sender, "domain": _domain(sender), "id": message}
    known = {key: str(getattr(upstream, key, None) or "") for key in UNKNOWN if key not in _OWN}
    mailbox = upstream.account or known["username"]
    if upstream.type == "gmail":
        known["authority"] = known["authority"] or _GOOGLE
    return known | {
        "upstream": name,
        "mailbox": mailbox,
        "username": known["username"] or mailbox,
        "sender": sender,
        "id": message,
        "domain": _domain(sender) or _domain(mailbox),
        "provider": provider_of(upstream),
        "login": _login(upstream),
        # With TLS from the start openssl needs no option; this one changes nothing.
        "starttls": "-crlf" if upstream.security == "implicit" else "",
        "secret": _renewal(name, upstream),
        "proxy_host": upstream.proxy.host if upstream.proxy else "",
        "proxy_port": str(upstream.proxy.port) if upstream.proxy else "",
        "proxy_secret": _renewal_at(upstream.proxy_password),
    }


_CHECKED: Final = frozenset({"starttls", "secret", "proxy_secret", "proxy"})
"""Sentences of ours, and a URL whose form the configuration has seen to."""

_OWN: Final = {
    "secret",
    "proxy_secret",
    "upstream",
    "mailbox",
    "sender",
    "id",
    "domain",
    "starttls",
    "proxy_host",
    "proxy_port",
    "aadsts",
    "audience",
    "object_id",
    "user",
    "action",
    "resource",
    "principal",
}


def _login(upstream: UpstreamSettings) -> str:
    by_token = upstream.type == "microsoft365" or getattr(upstream, "auth", "") in {"xoauth2", "oauthbearer"}
    without_password = upstream.type == "gmail" and getattr(upstream, "app_password", None) is None
    return "token" if by_token or without_password else "password"


def _domain(address: str) -> str:
    return address.rpartition("@")[2] if "@" in address else ""


def _name(placeholder: str, names: Names) -> str:
    known = names.get(placeholder, "")
    trusted = placeholder in _CHECKED or _PLAIN.fullmatch(known)
    return known if known and trusted else UNKNOWN[placeholder]


def _renewal(name: str, upstream: UpstreamSettings) -> str:
    """Say how a new secret reaches the relay, by the place that relay.toml names for it."""
    if getattr(upstream, "credential", None) == "device_code":
        return filled("relay login {upstream}", {"upstream": name})
    places = (getattr(upstream, key, None) for key in _SECRETS)
    return _renewal_at(next((place for place in places if isinstance(place, SecretReference)), None))


def _renewal_at(place: SecretReference | None) -> str:
    if place is None:
        return ""
    target = place.sealed or place.env or place.aws or str(place.file or "")
    if not _PLAIN.fullmatch(target):
        return ""
    if place.sealed:
        return f"relay secret set {target}"
    if place.env:
        return f"set the environment variable {target}, and restart the relay"
    return f"put it into the secret {target} of AWS Secrets Manager" if place.aws else f"write it to {target}"

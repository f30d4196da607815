"""The URL to which alerts are posted. It is a secret: no part of it is ever quoted."""

import base64
import ipaddress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from relay.config.problems import ConfigError

_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """Its parts. `target` is what stands in the request's first line; `authorization` a header, or empty."""

    secure: bool
    host: str = field(repr=False)
    port: int = field(repr=False)
    target: str = field(repr=False)
    authorization: str = field(default="", repr=False)


def webhook_url(text: str) -> WebhookUrl:
    """Read it. Raises ConfigError with cause and cure."""
    text = text.strip()
    if not text.isascii() or any(character <= " " for character in text):
        raise ConfigError("the URL holds blanks or letters that no URL has; copy it anew")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError("no URL; copy it anew, it begins with https://") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigError("no URL of the web; copy it anew, it begins with https://")
    try:
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise ConfigError("no host of the web in the URL; copy it anew") from error
    secure = parts.scheme == "https"
    if not secure and _public(parts.hostname):
        raise ConfigError("http:// would show the alerts to the whole network; write https://")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookUrl(secure, parts.hostname, port or _PORTS[parts.scheme], target, _authorization(parts))


def private(address: str) -> bool:
    """Whether an IP address is this machine's or of a private network, where http:// will do."""
    found = ipaddress.ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_private or found.is_link_local


def _public(host: str) -> bool:
    """Whether a host is an address of the open network; of a name that is seen only when it is looked up."""
    try:
        return not private(host)
    except ValueError:
        return False


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(login.encode()).decode("ascii")

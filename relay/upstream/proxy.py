"""The proxy by which an upstream, and whoever gives its tokens, is reached; None where the way is open."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from relay.config.problems import ConfigError
from relay.config.proxy_url import ProxyUrl
from relay.config.secrets import Secrets
from relay.config.upstream_settings import UpstreamSettings
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded, reply_for

_SOCKS_LIMIT = 255
"""Octets of a password (RFC 1929 §2)."""


@dataclass(frozen=True, slots=True)
class Login:
    """What the proxy wants to hear."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proxy:
    """`password` looks it up, for each connection anew: it blocks, and raises ConfigError."""

    url: ProxyUrl
    username: str = ""
    password: Callable[[], str] | None = field(default=None, repr=False)

    def login(self) -> Login | None:
        """Return user name and password; None where there are none. Blocks. Raises ConversationEnded, phase SECRET."""
        if self.password is None:
            return None
        try:
            password = str(self.password())
        except ConfigError as error:
            raise self.ended(Cause.PROXY_SECRET_UNAVAILABLE, Phase.SECRET, str(error)) from error
        if self.url.scheme == "socks5" and not (password.isascii() and len(password) <= _SOCKS_LIMIT):
            what = f"with socks5 it may have at most {_SOCKS_LIMIT} letters, all of them ASCII"
            raise self.ended(Cause.PROXY_SECRET_UNAVAILABLE, Phase.SECRET, what)
        return Login(self.username, password)

    def ended(self, cause: Cause, phase: Phase, detail: str = "") -> ConversationEnded:
        """Return the end of a conversation that came no farther than the proxy."""
        return ConversationEnded(phase, reply_for(cause, phase, str(self.url), detail), cause)


def proxy_of(table: UpstreamSettings, secrets: Secrets) -> Proxy | None:
    """Return the proxy of an upstream; reads nothing yet."""
    if table.proxy is None:
        return None
    if table.proxy_username is None or table.proxy_password is None:
        return Proxy(table.proxy)
    return Proxy(table.proxy, table.proxy_username, functools.partial(secrets.resolve, table.proxy_password))

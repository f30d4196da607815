"""SMTP_* variables as a Rails application has them: where there is no configuration file, they are one.

They define the upstream `smtp` and the client `careright`, which is known by its network: loopback, and the networks of
RELAY_NETWORKS. Gmail and Amazon SES are told by their hosts.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from relay.config.document import Document
from relay.config.nearest import choice
from relay.config.problems import Fault

HOST: Final = "SMTP_HOST"

_UPSTREAM: Final = "smtp"
_CLIENT: Final = "careright"
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_ENCRYPTION: Final = dict.fromkeys(("true", "yes", "on", "1", "always", "auto"), "starttls") | dict.fromkeys(
    ("false", "no", "off", "0", "never"), "none"
)
_MECHANISMS: Final = {
    "auto": "auto",
    "none": "none",
    "plain": "plain",
    "login": "login",
    "cram_md5": "cram-md5",
    "cram-md5": "cram-md5",
}
_VERIFICATION: Final = {"peer": "peer", "client_once": "peer", "fail_if_no_peer_cert": "peer", "none": "none"}
_GMAIL: Final = ("smtp.gmail.com", "smtp.googlemail.com")
_SES: Final = re.compile(r"email-smtp\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


def document_of_variables(path: Path, environ: Mapping[str, str]) -> tuple[Document, list[Fault]]:
    """The configuration that the variables stand for; the faults are those of their values."""
    variables = _Variables(Document(str(path)), environ)
    variables.say_where()
    variables.say_how_safe()
    variables.say_who()
    document = variables.document
    networks = [*_LOOPBACK, *re.findall(r"[^\s,;]+", environ.get("RELAY_NETWORKS", ""))]
    document.tables = {
        "upstream": {_UPSTREAM: variables.upstream},
        "client": {_CLIENT: {"networks": networks, "upstream": _UPSTREAM}},
    }
    document.variables["upstream", _UPSTREAM] = HOST
    document.variables["client", _CLIENT, "networks"] = "RELAY_NETWORKS"
    return document, variables.faults


class _Variables:
    """Makes the table of the upstream, and notes which variable each of its keys came from."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.document = document
        self.upstream: dict[str, Any] = {}
        self.faults: list[Fault] = []
        self._environ = environ
        self._host = environ[HOST].strip()
        self._region = _SES.fullmatch(self._host.lower())

    def say_where(self) -> None:
        """The provider, its host and port, and the name for EHLO."""
        self._put("type", HOST, self._provider)
        self._put("host", HOST, self._host)
        if self._region:
            self._put("region", HOST, self._region[1])
        port = self._said("SMTP_PORT")
        if port:
            self._put("port", "SMTP_PORT", int(port) if port.isascii() and port.isdigit() else port)
        if self._said("SMTP_DOMAIN"):
            self._put("ehlo_name", "SMTP_DOMAIN", self._said("SMTP_DOMAIN"))

    def say_how_safe(self) -> None:
        """Encryption, and whether the certificate has to be right."""
        self._choose("security", "SMTP_START_TLS", _ENCRYPTION)
        if self._said("SMTP_PORT") == "465":
            self._put("security", "SMTP_PORT", "implicit")
        self._choose("verify", "SMTP_OPENSSL_VERIFY_MODE", _VERIFICATION)

    def say_who(self) -> None:
        """The login."""
        if self._provider == "smtp":
            self._choose("auth", "SMTP_AUTH", _MECHANISMS)
        username = self._said("SMTP_USERNAME")
        if username:
            self._put("username", "SMTP_USERNAME", username)
            secret = "app_password" if self._provider == "gmail" else "password"
            self._put(secret, "SMTP_PASSWORD", {"env": "SMTP_PASSWORD"})
        elif self._provider == "smtp":
            self.upstream.setdefault("auth", "none")

    @property
    def _provider(self) -> str:
        if self._host.lower() in _GMAIL:
            return "gmail"
        return "ses" if self._region else "smtp"

    def _said(self, variable: str) -> str:
        return self._environ.get(variable, "").strip()

    def _put(self, key: str, variable: str, value: object) -> None:
        self.upstream[key] = value
        self.document.variables["upstream", _UPSTREAM, key] = variable

    def _choose(self, key: str, variable: str, choices: Mapping[str, str]) -> None:
        said = self._said(variable)
        if not said:
            return
        found = choices.get(said.lower())
        if found is not None:
            self._put(key, variable, found)
            return
        self.document.variables["upstream", _UPSTREAM, key] = variable
        self.faults.append(Fault(("upstream", _UPSTREAM, key), f'"{said:.40}" is unknown; {choice(said, choices)}'))

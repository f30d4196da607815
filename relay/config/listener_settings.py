"""[listener.NAME] and [tls]: what the applications see."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    Tag,
    model_validator,
)

from relay.config.endpoint import Address, Endpoint, Network
from relay.config.mistake import mistake
from relay.config.quantities import Duration, Size
from relay.config.secret_reference import FORMS_TEXT, SecretReference
from relay.config.section import Count, FilePath, Section, several

Security = Literal["starttls", "implicit", "none"]
"""How a connection is encrypted: after STARTTLS, from the first octet, or not at all."""

TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]
Mechanism = Literal["CRAM-MD5", "PLAIN", "LOGIN"]

DEFAULT_LISTENER: Final = "submission"


def _instant(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if isinstance(value, datetime):
        raise mistake("the time lacks its zone", f"write {value.isoformat()}Z for UTC")
    raise mistake("expected a date and time without quotes", "write it like 2026-12-24T00:00:00Z")


def _no_key_in_clear_text(value: object) -> object:
    if isinstance(value, str) and "-----BEGIN" in value:
        raise mistake("a private key in clear text is refused", f"write its path, {FORMS_TEXT}")
    return value


def _path_or_secret(value: object) -> str:
    return "secret" if isinstance(value, dict | SecretReference) else "path"


def _not_empty(value: tuple[object, ...]) -> tuple[object, ...]:
    if not value:
        raise mistake("the list is empty", "fill it, or leave the key out")
    return value


PrivateKey = Annotated[
    Annotated[FilePath, Tag("path")] | Annotated[SecretReference, Tag("secret")],
    Discriminator(_path_or_secret),
    BeforeValidator(_no_key_in_clear_text),
]
"""A private key in PEM: the path of a file, or a secret."""

Networks = Annotated[tuple[Network, ...], BeforeValidator(several), AfterValidator(_not_empty)]


class TlsSettings(Section):
    """The certificate that all listeners show."""

    certificate: FilePath = Field(
        description="PEM file of the certificate with its chain; watched", examples=['"/etc/relay/tls/fullchain.pem"']
    )
    private_key: PrivateKey = Field(
        description="its private key in PEM: a path, or a secret; watched", examples=['"/etc/relay/tls/privkey.pem"']
    )


class ListenerSettings(Section):
    """An address on which applications bring mail."""

    address: Endpoint = Field(description="where to listen: HOST:PORT, [::1]:25 or *:25", examples=['"127.0.0.1:2525"'])
    security: Security = Field(
        default="starttls", description="starttls: plain until STARTTLS; implicit: TLS from the start; none: never TLS"
    )
    require_tls: StrictBool = Field(
        default=True, description='no AUTH and no MAIL before TLS; default: true unless security = "none"'
    )
    minimum_tls: TlsVersion = Field(default="1.2", description="the oldest version of TLS that is spoken")
    auth: Annotated[tuple[Mechanism, ...], BeforeValidator(several)] = Field(
        default=("CRAM-MD5", "PLAIN", "LOGIN"), description="the mechanisms offered, in this order; [] offers none"
    )
    max_message_size: Size = Field(default=35 << 20, gt=0, description="the largest message accepted")
    max_connections: Count = Field(default=500, description="how many connections may be open at once")
    idle_timeout: Duration = Field(default=300.0, description="a connection that says nothing for so long is closed")
    proxy_protocol: StrictBool = Field(
        default=False, description="every connection begins with a PROXY protocol header (v1 or v2)"
    )
    proxy_from: Networks = Field(
        default=(), description="with proxy_protocol: the networks that may say where a connection comes from"
    )
    learn_until: Annotated[AwareDatetime, BeforeValidator(_instant)] | None = Field(
        default=None, description="until then unknown devices on private networks are recorded (not served)"
    )

    @model_validator(mode="before")
    @classmethod
    def _require_tls_by_security(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("security") == "none":
            return {"require_tls": False} | value
        return value

    @property
    def offers_starttls(self) -> bool:
        """Whether STARTTLS is offered and understood."""
        return self.security == "starttls"

    @property
    def uses_tls(self) -> bool:
        """Whether a certificate is needed."""
        return self.security != "none"


def default_listener() -> ListenerSettings:
    """The listener there is where relay.toml names none."""
    return ListenerSettings(address=Address("127.0.0.1", 2525))

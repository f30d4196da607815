"""What every [upstream.NAME] takes, whatever its type."""

from typing import Literal

from pydantic import Field

from relay.config.listener_settings import Security
from relay.config.proxy_url import ProxyPlace
from relay.config.quantities import Duration, Size
from relay.config.secret_reference import SecretPlace
from relay.config.section import Count, EhloName, FilePath, Host, Line, Port, Section


class UpstreamSettings(Section):
    """A provider that takes our mail. Each type is a class of its own with the defaults of that provider."""

    type: str = Field(description="which provider it is; sets the defaults of all else")
    host: Host = Field(default="", description="the name or address of its server")
    port: Port = Field(default=587, description="its TCP port")
    security: Security = Field(
        default="starttls", description="starttls (never without), implicit (TLS from the start) or none"
    )
    verify: Literal["peer", "none"] = Field(default="peer", description="whether its certificate must be right")
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of authorities besides the system's; for the token endpoint too; watched"
    )
    ehlo_name: EhloName = Field(default="", description="the name given at EHLO; default: hostname")
    proxy: ProxyPlace | None = Field(
        default=None, description="http://HOST:PORT (CONNECT) or socks5://HOST:PORT; for the token endpoint too"
    )
    proxy_username: Line | None = Field(default=None, description="the user name at the proxy")
    proxy_password: SecretPlace | None = Field(default=None, description="the password at the proxy")
    max_connections: Count = Field(default=10, description="connections open at once")
    messages_per_minute: Count | None = Field(default=None, description="messages in any 60 seconds, counted at MAIL")
    messages_per_hour: Count | None = Field(default=None, description="messages in any hour, counted at MAIL")
    recipients_per_day: Count | None = Field(default=None, description="recipients in any 24 hours")
    recipients_per_message: Count = Field(default=100, description="larger envelopes are split")
    max_message_size: Size | None = Field(
        default=None, gt=0, description="larger messages are refused at once; default: what its EHLO tells"
    )
    session_limit: Duration = Field(default=900.0, description="a connection is not used longer")
    long_lines: Literal["keep", "reencode"] = Field(
        default="keep",
        description="lines above 998 octets; keep: re-encoded once after a refusal that speaks of them",
    )
    timeout: Duration = Field(default=60.0, description="how long a reply, or progress, is waited for")
    failover_after: Duration = Field(
        default=300.0, description="held or unreachable for so long: the client's next upstream sends"
    )

    @property
    def account(self) -> str | None:
        """The address that the provider knows us by, where it has one and minds the From."""
        return None

    def sends_as(self, address: str) -> bool:
        """Whether a From of this address may go out unchanged, as far as the settings tell."""
        own = self.own_senders
        return not own or address.casefold() in {other.casefold() for other in own}

    @property
    def own_senders(self) -> tuple[str, ...]:
        """The addresses as which it may send, the account's first; empty where any will do."""
        also: tuple[str, ...] = getattr(self, "may_send_as", ())
        return (self.account, *also) if self.account is not None else ()

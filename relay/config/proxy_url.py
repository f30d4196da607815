"""Where a proxy is: `"http://proxy.clinic.test:3128"` (CONNECT), `"socks5://proxy.clinic.test:1080"`."""

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from relay.config.mistake import mistake
from relay.config.quantities import TextForm
from relay.config.section import is_host

_FORM: Final = re.compile(r"(http|socks5)://(\[[^\[\]]+\]|[^\[\]:/?#]+)(?::([0-9]{1,9}))?/?")
_EXAMPLES: Final = 'write "http://proxy.clinic.test:3128" or "socks5://proxy.clinic.test:1080"'
_OTHER_SCHEMES: Final = {
    "https": "TLS to the proxy itself is not spoken",
    "socks5h": 'names are looked up by the proxy with "socks5" already',
    "socks4": "SOCKS 4 is not spoken",
    "socks4a": "SOCKS 4 is not spoken",
    "socks": "the version is missing",
}
_LONGEST: Final = 80


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """`host` is a name or an address without brackets; it never holds a user or a password."""

    scheme: Literal["http", "socks5"]
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _proxy_url(value: object) -> object:
    if isinstance(value, ProxyUrl):
        return value
    if not isinstance(value, str):
        raise mistake("expected the URL of a proxy in quotes", _EXAMPLES)
    # Not quoted: it may hold a password.
    if "@" in value:
        raise mistake(
            "a user or password in the URL is refused", "use proxy_username and proxy_password beside the proxy"
        )
    found = _FORM.fullmatch(value)
    if found is None:
        raise _unlike(value)
    host = found[2].strip("[]")
    if not is_host(host) or (":" in host) != found[2].startswith("["):
        raise mistake(f'"{host:.{_LONGEST}}" is not a host\'s name or address', _EXAMPLES)
    if found[3] is None:
        usual = "3128" if found[1] == "http" else "1080"
        raise mistake(f'"{value:.{_LONGEST}}" has no port', f'write "{found[1]}://{found[2]:.{_LONGEST}}:{usual}"')
    port = int(found[3])
    if not 1 <= port <= 65535:
        raise mistake(f"port {port} does not exist", "use one from 1 to 65535")
    return ProxyUrl("http" if found[1] == "http" else "socks5", host, port)


def _unlike(value: str) -> PydanticCustomError:
    scheme = value.partition("://")[0].casefold()
    if "://" in value and scheme in _OTHER_SCHEMES:
        return mistake(f'"{value:.{_LONGEST}}": {_OTHER_SCHEMES[scheme]}', _EXAMPLES)
    return mistake(f'"{value:.{_LONGEST}}" is not the URL of a proxy', _EXAMPLES)


ProxyPlace = Annotated[ProxyUrl, TextForm(), BeforeValidator(_proxy_url)]
"""A ProxyUrl as a setting."""

"""Private proxies from .peers: tinyproxy (HTTP CONNECT, Basic) and microsocks (SOCKS 5, user name and password)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.rig.peers import command
from tests.rig.ports import free_port
from tests.rig.private_server import PrivateServer
from tests.rig.toml import Value

USERNAME = "relay"
PASSWORD = "passepartout"


@dataclass(frozen=True, slots=True)
class Rules:
    """`login`: whether a password is demanded; `names` are host names that this proxy alone knows, at 127.0.0.1.

    `only_ports`: to which CONNECT is allowed, empty: to all; `admits` false: no client at all (both tinyproxy's).
    """

    login: bool = True
    names: Sequence[str] = ()
    only_ports: Sequence[int] = ()
    admits: bool = True


class Proxy(PrivateServer):
    """One proxy on 127.0.0.1:`port`, with a log of what it connected to."""

    scheme = ""
    connected = re.compile("")

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(type(self).__name__.lower())
        self.port = free_port()
        self.rules = rules or Rules()

    @property
    def url(self) -> str:
        """What an upstream's `proxy` must be."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def keys(self, **more: Value) -> dict[str, Value]:
        """An upstream's keys; the password is in the variable PROXY_PASSWORD."""
        login: dict[str, Value] = {"proxy_username": USERNAME, "proxy_password": {"env": "PROXY_PASSWORD"}}
        return {"proxy": self.url} | (login if self.rules.login else {}) | more

    def prepare(self) -> None:
        """The names."""
        lines = "".join(f"127.0.0.1 {name}\n" for name in self.rules.names)
        (self.folder / "hosts").write_text(lines)

    def environment(self) -> dict[str, str]:
        """The names are looked up in our file."""
        if not self.rules.names:
            return {}
        return {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_HOSTS": str(self.folder / "hosts")}

    def times_connected(self, host: str, port: int) -> int:
        """How often its log says that it connected somebody to this host, by this name."""
        return self.connected.findall(self.log).count((host, str(port)))

    def interrupt(self) -> None:
        """Ends it; `start` starts it again at the same port, with the same log."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(10)


class Tinyproxy(Proxy):
    """HTTP CONNECT."""

    scheme = "http"
    connected = re.compile(r"Request \(file descriptor \d+\): CONNECT (\S+):(\d+) HTTP")

    def prepare(self) -> None:
        """Its configuration."""
        super().prepare()
        lines = [f"Port {self.port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 100", "LogLevel Connect"]
        lines += [
            f'LogFile "{self.folder / "tinyproxy.log"}"',
            f"Allow {'127.0.0.1' if self.rules.admits else '192.0.2.1'}",
        ]
        lines += [f"BasicAuth {USERNAME} {PASSWORD}"] if self.rules.login else []
        lines += [f"ConnectPort {port}" for port in self.rules.only_ports]
        (self.folder / "tinyproxy.conf").write_text("\n".join([*lines, ""]))

    def command(self) -> list[str]:
        """In the foreground."""
        return [command("tinyproxy"), "-d", "-c", str(self.folder / "tinyproxy.conf")]


class Microsocks(Proxy):
    """SOCKS 5."""

    scheme = "socks5"
    connected = re.compile(r"connected to (\S+):(\d+)")

    def command(self) -> list[str]:
        """In the foreground, which is all it knows."""
        login = ["-u", USERNAME, "-P", PASSWORD] if self.rules.login else []
        return [command("microsocks"), "-i", "127.0.0.1", "-p", str(self.port), *login]


KINDS: Mapping[str, type[Proxy]] = {"http": Tinyproxy, "socks5": Microsocks}

"""A clinic with every kind of credential, each with a secret that would be known again wherever it turned up."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

from tests.rig.credential_kinds import KINDS, Cloud
from tests.rig.script import Answer
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value
from tests.rig.webhook import PATH, WebhookServer

OPTIONS: dict[str, Value] = {
    "client_secret": 'Entra~"secret\\of.the+app/8Q=',
    "google_client_secret": 'GOCSPX-"known\\again+anywhere/=',
    "gmail_app_password": "qwzxvkjhgfdsplmn",
    "ses_password": "BSes+Known/Again=0123456789abcdefghijklmnop",
    "device_code_approval": "automatic",
    "connections": 100,
}
"""Of the simulator."""

_FAULTY = ("echoing", "untrusted", "proxied", "unreachable")


@dataclass(slots=True)
class Clinic:
    """`secrets` are those that nobody may see, by what they are; `clients` and upstreams have the same names."""

    settings: dict[str, Value]
    environ: dict[str, str]
    secrets: dict[str, str]
    clients: dict[str, str] = field(default_factory=dict)

    @property
    def working(self) -> list[str]:
        """The clients whose mail goes out at once."""
        return [name for name in self.clients if name not in _FAULTY]


@dataclass(frozen=True, slots=True)
class Servers:
    """Whom the clinic speaks with. `echoing` refuses every login."""

    cloud: Cloud
    ses_port: int
    isp: ScriptedServer
    echoing: ScriptedServer
    hook: WebhookServer


def secretive_clinic(servers: Servers, folder: Path, seal_key: str) -> Clinic:
    """Return its configuration; the password of Gmail's account is to be sealed as "gmail"."""
    clinic = Clinic({}, {"RELAY_SEAL_KEY": seal_key}, {"the seal key": seal_key})
    upstreams = _with_tokens(clinic, servers.cloud, folder) | _with_passwords(clinic, servers)
    for name in upstreams:
        clinic.clients[name] = clinic.secrets[f"password of {name}"] = f'Kundin "\\{name} ü%/+=&'
        clinic.environ[_variable("CLIENT", name)] = clinic.clients[name]
    clinic.environ["HOOK"] = f"http://user:W0rd-of-the-hook@127.0.0.1:{servers.hook.port}{PATH}?key=Key-of-the-hook"
    clinic.secrets |= {"hook's path": PATH, "hook's key": "Key-of-the-hook", "hook's password": "W0rd-of-the-hook"}
    clinic.settings = {
        "listener": {"submission": {"security": "none", "require_tls": False}},
        "client": {
            name: {"username": name, "password": {"env": _variable("CLIENT", name)}, "upstream": name}
            for name in upstreams
        },
        "upstream": upstreams,
        "queue": {"retry_first": "200ms", "retry_most": "5s", "jitter": 0.0},
        "alerts": {"to": ["it@clinic.test"], "upstream": "isp", "webhook": {"env": "HOOK"}, "stuck_after": "1s"},
        "log": {"level": "debug", "addresses": "full"},
    }
    return clinic


def _with_tokens(clinic: Clinic, cloud: Cloud, folder: Path) -> dict[str, Value]:
    upstreams: dict[str, Value] = {}
    for name, made in KINDS.items():
        place = folder / name
        place.mkdir()
        kind = made(cloud, place)
        _own_variables(kind.keys, kind.environ, name)
        upstreams[name] = kind.keys | {"messages_per_minute": 1000}
        clinic.environ |= {_variable(variable, name): text for variable, text in kind.environ.items()}
        clinic.secrets |= {f"{name} {at}": secret for at, secret in enumerate(kind.secrets)}
    clinic.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = cloud.entra.origin
    seen, assertion = folder / "environment", folder / "federated_command" / "assertion"
    script = f'{{ env; tr "\\0" " " < /proc/$PPID/cmdline; }} > "{seen}"; cat "{assertion}"'
    upstreams["federated_command"]["assertion"] = {"command": ["sh", "-c", script]}
    return upstreams


def _own_variables(keys: dict[str, Value], environ: dict[str, str], name: str) -> None:
    """Two kinds must not mean different secrets by one variable."""
    for value in keys.values():
        if isinstance(value, dict) and value.get("env") in environ:
            value["env"] = _variable(value["env"], name)


def _with_passwords(clinic: Clinic, servers: Servers) -> dict[str, Value]:
    cloud, isp = servers.cloud, servers.isp
    known = {"isp": 'Isp-w0rd "\\%/+=&', "echoing": "Echo-w0rd-of-the-isp", "untrusted": "Untrusted-w0rd%1"}
    known |= {"unreachable": "Unreached-w0rd%1", "proxied": "Behind-a-proxy-w0rd%1"}
    proxy = "Proxy-w0rd+%1="
    clinic.secrets |= {f"{name}'s own password": text for name, text in known.items()} | {"the proxy's": proxy}
    clinic.secrets |= {"Gmail's": cloud.options.gmail_app_password, "SES's": cloud.options.ses_password}
    clinic.environ |= {_variable("UPSTREAM", name): text for name, text in known.items()}
    clinic.environ |= {"PROXY": proxy, "SES": cloud.options.ses_password}
    # By a RELAY__ variable, whose text is the secret itself.
    clinic.environ["RELAY__UPSTREAM__ISP__PASSWORD"] = clinic.environ.pop(_variable("UPSTREAM", "isp"))
    isp.users, servers.echoing.users = {"isp": known["isp"]}, {}
    servers.echoing.script.always("AUTH", _echo(known["echoing"]))

    def smtp(name: str, **more: Value) -> dict[str, Value]:
        password = {} if name == "isp" else {"password": {"env": _variable("UPSTREAM", name)}}
        plain = {"type": "smtp", "host": "127.0.0.1", "port": isp.port, "security": "none", "username": name}
        return plain | password | more

    return {
        "gmail": cloud.gmail(username=cloud.options.gmail_user, app_password={"sealed": "gmail"}),
        "isp": smtp("isp", auth="plain"),
        "ses": _ses(servers),
        "echoing": smtp("echoing", auth="plain", port=servers.echoing.port),
        "untrusted": smtp("untrusted", host=cloud.host, port=cloud.microsoft365_port, security="starttls"),
        "unreachable": smtp("unreachable", port=9),
        "proxied": smtp(
            "proxied",
            proxy=f"http://127.0.0.1:{isp.port}",
            timeout="2s",
            proxy_username="relay",
            proxy_password={"env": "PROXY"},
        ),
    }


def _ses(servers: Servers) -> dict[str, Value]:
    options = servers.cloud.options
    table = {"type": "ses", "region": options.ses_region, "host": servers.cloud.host, "port": servers.ses_port}
    login = {"username": options.ses_user, "password": {"env": "SES"}}
    return table | login | {"ca_file": str(servers.cloud.ca_file)}


def _echo(password: str) -> Answer:
    """What a server answers that quotes the line which it refuses."""
    response = base64.b64encode(f"\0echoing\0{password}".encode()).decode()
    return Answer(f"535 5.7.8 Wrong: AUTH PLAIN {response} ({password})")


def _variable(kind: str, name: str) -> str:
    return f"{kind}_{name}".upper()

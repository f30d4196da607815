"""How the failures of Microsoft, Google and Amazon are played: by the simulator, each at its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relay.simulator.simulator import Simulator
from tests.rig.simulated import microsoft365_upstream
from tests.rig.toml import Value
from tests.scenario.failures.scene import RECIPIENT, Scene
from tests.scenario.failures.table import Failure

GRAPH = "https://graph.microsoft.com"
USER = "clinic@gmail.test"


def play(failure: Failure, scene: Scene) -> dict[str, Value]:
    """Let a failure happen to whoever uses the upstream that is returned."""
    simulator = scene.simulator(mailbox=f"{failure.name}@clinic.test")
    scene.simulators[failure.name] = simulator
    if failure.section in {"microsoft365", "entra", "network"}:
        upstream = _microsoft365(simulator, scene)
    elif failure.section == "gmail":
        by_token = failure.name.startswith("google_")
        upstream = _gmail_by_token(simulator, scene) if by_token else _gmail_by_password(simulator, scene)
    else:
        upstream = _ses(simulator, scene)
    if failure.becomes == "kept send_as" and failure.section == "microsoft365":
        upstream |= {"may_send_as": ["lab@clinic.test"]}
    other = _OTHERWISE.get(failure.name)
    if other is not None:
        return upstream | other(simulator, scene)
    scene.do(lambda: _switch_on(failure, simulator))
    return upstream


def _switch_on(failure: Failure, simulator: Simulator) -> None:
    how = failure.played.split()
    # What is refused for good is so for this recipient alone, that the notice about it may pass.
    only: dict[str, Any] = {"recipient": RECIPIENT} if failure.word == "failed" else {}
    if not how:
        simulator.faults.set(failure.name, **only)
    elif how[0] == "fault":
        simulator.faults.set(how[1], stage=how[3], **only)
    else:
        simulator.faults.set("reply", provider=failure.section, stage=how[1], reply=" ".join(how[2:]), **only)


def _microsoft365(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    scene.environ["CLIENT_SECRET"] = simulator.client_secret
    return microsoft365_upstream(simulator, credential="client_secret", client_secret={"env": "CLIENT_SECRET"})


def _gmail(simulator: Simulator) -> dict[str, Value]:
    place = {"host": simulator.host, "port": simulator.gmail.port, "ca_file": str(simulator.ca_file)}
    return {"type": "gmail", "username": simulator.gmail_user, **place}


def _gmail_by_password(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    scene.environ["APP_PASSWORD"] = simulator.gmail_app_password
    return _gmail(simulator) | {"app_password": {"env": "APP_PASSWORD"}}


def _gmail_by_token(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    refresh_token = f"REFRESH_{simulator.gmail.port}"
    scene.environ["GOOGLE_SECRET"] = simulator.options.google_client_secret
    scene.environ[refresh_token] = simulator.google.refresh_token(USER)
    return _gmail(simulator) | {
        "client_id": simulator.options.google_client_id,
        "client_secret": {"env": "GOOGLE_SECRET"},
        "refresh_token": {"env": refresh_token},
        "authority": simulator.google.url,
    }


def _ses(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    scene.environ["SES_PASSWORD"] = simulator.ses_password
    return {
        "type": "ses",
        "region": simulator.options.ses_region,
        "host": simulator.host,
        "port": simulator.ses.port,
        "ca_file": str(simulator.ca_file),
        "username": simulator.ses_user,
        "password": {"env": "SES_PASSWORD"},
    }


Otherwise = Callable[[Simulator, Scene], dict[str, Value]]


def _with_roles(*roles: str) -> Otherwise:
    def play_it(simulator: Simulator, scene: Scene) -> dict[str, Value]:
        simulator.tokens.roles = roles
        return {}

    return play_it


def _for_graph(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    simulator.tokens.audiences = (GRAPH,)
    scene.do(lambda: simulator.faults.set("token_refused"))
    return {"scope": f"{GRAPH}/.default"}


def _of_nobody(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    return {"mailbox": "nobody@clinic.test"}


def _by_device_code(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    return {"credential": "device_code", "client_secret": None}


def _by_managed_identity(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    scene.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = simulator.entra.origin
    scene.do(lambda: simulator.faults.set("managed_identity_not_found"))
    return {"credential": "managed_identity", "client_secret": None}


def _without_secret(simulator: Simulator, scene: Scene) -> dict[str, Value]:
    """A file that is there when the relay starts, and gone when it is needed."""
    secret = scene.folder / "secret"
    secret.write_text(simulator.client_secret)
    return {"client_secret": {"file": str(secret)}}


_OTHERWISE: dict[str, Otherwise] = {
    "token_without_roles": _with_roles(),
    "token_with_other_roles": _with_roles("Mail.Send", "IMAP.AccessAsApp"),
    "token_for_another_service": _for_graph,
    "mailbox_of_nobody": _of_nobody,
    "nobody_signed_in": _by_device_code,
    "managed_identity_not_found": _by_managed_identity,
    "secret_not_there": _without_secret,
}

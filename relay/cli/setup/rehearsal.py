"""The upstream that leads to `relay simulate`, as the simulator that runs says it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from relay.cli.output import CommandError
from relay.config.secrets import Secret


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The keys of the upstream, and the client secret of the simulated application."""

    keys: dict[str, Any]
    client_secret: Secret


def rehearsal_at(host: str) -> Rehearsal:
    """Ask the simulator at an address of this machine. Raises CommandError where none runs there."""
    from relay.simulator.run import REHEARSAL

    place = host if REHEARSAL.host == host else f"{host} (relay simulate --host {host})"
    try:
        state = _state(host, REHEARSAL.control_port or 0)
        keys = {
            "host": host,
            "port": int(state["microsoft365"]["port"]),
            "ca_file": str(state["ca_file"]),
            "authority": str(state["authority"]),
            "mailbox": REHEARSAL.mailbox,
            "tenant": REHEARSAL.tenant,
            "client_id": REHEARSAL.client_id,
            "credential": "client_secret",
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"no simulator answers at {place}; type in another terminal: relay simulate") from error
    return Rehearsal(keys, Secret(REHEARSAL.client_secret))


def _state(host: str, port: int) -> Any:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/state")
        return json.loads(connection.getresponse().read())
    except HTTPException as error:
        raise ValueError("no HTTP") from error
    finally:
        connection.close()

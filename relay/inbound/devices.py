"""Devices that are none of our clients, recorded while a listener learns (`learn_until`): who they are, how they talk.

They are refused as ever. The record is state_dir/devices.json, which `relay clients seen` reads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from relay.config.private_file import make
from relay.inbound.clients import IPAddress
from relay.journal import Journal

NAME: Final = "devices.json"

_MOST: Final = 300
_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Device:
    """One address at one listener, as it was last. Instants are ms since the epoch; what it never said is empty.

    `hello` is EHLO or HELO with `helo` behind it; `tls` its version; `sender` the reverse-path as written;
    `mechanism` and `username` are those of a login that failed; `refused` is what it was told.
    `times` counts connections.
    """

    address: str
    listener: str
    first_at: int
    last_at: int
    times: int = 1
    hello: str = ""
    helo: str = ""
    tls: str = ""
    sender: str = ""
    mechanism: str = ""
    username: str = ""
    refused: str = ""


class Devices:
    """Those seen. `note` while learning; `run` loads them, and saves what has changed."""

    def __init__(self, state_dir: Path, journal: Journal, now: Callable[[], int]) -> None:
        self._path = state_dir / NAME
        self._journal = journal
        self._now = now
        self._devices: dict[tuple[str, str], Device] = {}
        self._changed = False

    def note(self, listener: str, address: IPAddress, *, again: bool = False, **said: str) -> None:
        """Record what was seen now; what isn't said this time stays as it was. Only on private networks.

        `again`: on a connection that was counted already.
        """
        if not (address.is_private or address.is_link_local):
            return
        now, key = self._now(), (str(address), listener)
        before = self._devices.pop(key, None) or Device(*key, first_at=now, last_at=now, times=0)
        news = {name: value[:255] for name, value in said.items() if value}
        # The one that was not heard of for longest comes first, and goes first.
        self._devices[key] = replace(before, last_at=now, times=before.times + (not again), **news)  # type: ignore[arg-type]
        if len(self._devices) > _MOST:
            del self._devices[next(iter(self._devices))]
        self._changed = True

    async def run(self) -> None:
        """Keep the file until cancelled."""
        known = {(one.address, one.listener): one for one in await asyncio.to_thread(devices_in, self._path.parent)}
        self._devices = known | self._devices
        while True:
            await asyncio.sleep(_EVERY)
            if self._changed:
                self._changed = False
                await asyncio.to_thread(self._save, list(self._devices.values()))

    def close(self) -> None:
        """Save what is not saved yet."""
        if self._changed:
            self._changed = False
            self._save(list(self._devices.values()))

    def _save(self, devices: list[Device]) -> None:
        try:
            make(self._path, json.dumps([asdict(one) for one in devices], ensure_ascii=False, indent=1).encode("utf-8"))
        except OSError as error:
            self._journal.failed("inbound.devices", error)


def devices_in(state_dir: Path) -> list[Device]:
    """Return the devices on record, the latest last; none where the file is missing or damaged. Raises OSError."""
    try:
        return [Device(**entry) for entry in json.loads((state_dir / NAME).read_bytes())]
    except (FileNotFoundError, ValueError, TypeError):
        return []

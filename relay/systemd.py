"""Telling the service manager how far we are (sd_notify(3)); silence where none asked."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

_PATIENCE: Final = 0.5
"""Seconds that a service manager which doesn't listen may take of the loop's time."""


def notify(*lines: str) -> None:
    """Send `READY=1`, `STOPPING=1`, `STATUS=...` to $NOTIFY_SOCKET. Never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_PATIENCE)
            sender.connect("\0" + address[1:] if address[0] == "@" else address)
            sender.send("\n".join(lines).encode("utf-8"))
    except OSError:
        return


def notify_reloading() -> None:
    """Announce a reload; READY=1 ends it. Type=notify-reload wants the moment too."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

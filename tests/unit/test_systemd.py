"""What the service manager hears."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay import systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager's socket, named by a path of at most 107 octets."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("notify")
        listening.settimeout(5)
        monkeypatch.setattr(systemd, "_PATIENCE", 0.05)
        monkeypatch.setenv("NOTIFY_SOCKET", f"/proc/{os.getpid()}/cwd/notify")
        yield listening


def test_it_is_told(manager: socket.socket) -> None:
    systemd.notify("READY=1", "STATUS=takes mail")
    assert manager.recv(4096) == b"READY=1\nSTATUS=takes mail"
    systemd.notify_reloading()
    assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_one_that_does_not_listen_stops_nothing(manager: socket.socket) -> None:
    began = time.monotonic()
    for _ in range(1000):
        systemd.notify("READY=1")
        if time.monotonic() - began > 0.04:
            break
    else:
        pytest.fail("its queue is never full")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("address", ["", "notify", "/nowhere/notify"])
def test_where_nobody_asked_it_is_silent(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify("READY=1")

"""On what was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from pathlib import Path

import psutil

from relay.version import VERSION
from tests.rig.peers import command

_NO_DISK = ("tmpfs", "ramfs")


def description() -> str:
    """CPUs, memory, kernel, file system, and the versions of what was compared."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = psutil.virtual_memory().total / 2**30
    postfix = subprocess.run(
        [command("postconf"), "-d", "-h", "mail_version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    system = f"{os.cpu_count()} CPUs ({model}), {memory:.0f} GiB, Linux {platform.release()}"
    versions = f"Relay {VERSION} on Python {platform.python_version()}, Postfix {postfix}"
    return f"{system}, both systems on {file_system(Path(tempfile.gettempdir()))}. {versions}."


def use_disk() -> None:
    """Put temporary folders on a disk. Raises RuntimeError where none is found: a sync of memory costs nothing."""
    for folder in (tempfile.gettempdir(), "/var/tmp", str(Path.cwd())):
        if file_system(Path(folder)) not in _NO_DISK:
            tempfile.tempdir = folder
            return
    raise RuntimeError("no folder for temporary files lies on a disk; set TMPDIR")


def file_system(folder: Path) -> str:
    """The type of the file system that `folder` lies on."""
    here = folder.resolve()
    mounts = [part for part in psutil.disk_partitions(all=True) if here.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []

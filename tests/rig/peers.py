"""Where `make peers` unpacked the programs that tests talk to."""

import os
import shlex
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".peers"


@cache
def peer_environment() -> dict[str, str]:
    """What unpacked programs need to find their libraries, with our PATH."""
    found = {"PATH": f"{FOLDER / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
    for line in _written("environment").splitlines():
        name, _, value = line.partition("=")
        found[name] = "".join(shlex.split(value))
    return found


def command(name: str) -> str:
    """One of the commands in .peers/bin."""
    path = FOLDER / "bin" / name
    if not path.exists():
        raise RuntimeError(f"{path} is missing; run `make peers`")
    return str(path)


def unpacked(path: str) -> Path:
    """A file or folder of a package, by its path in an installed system: unpacked, else the machine's own."""
    below = FOLDER / "root" / path.lstrip("/")
    found = below if below.exists() else Path(path)
    if not found.exists():
        raise RuntimeError(f"{path} is neither in {FOLDER} nor on the machine; run `make peers`")
    return found


def _written(name: str) -> str:
    try:
        return (FOLDER / name).read_text()
    except FileNotFoundError:
        raise RuntimeError(f"{FOLDER / name} is missing; run `make peers`") from None

"""The node's name: made once, and kept in state_dir, so that leases are known as its own after a restart."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from relay.config.private_file import make, refusal_of
from relay.spool.contract import SpoolError


def node_name(state_dir: Path) -> str:
    """Return the name in `state_dir/node`, making one where there is none. Raises SpoolError."""
    path = state_dir / "node"
    try:
        name = path.read_text("utf-8").strip()
    except FileNotFoundError:
        name = ""
    except OSError as error:
        raise SpoolError(refusal_of(path, error)) from error
    except ValueError:
        raise SpoolError(f"{path}: not text; remove it, and another name is made") from None
    return name or _made(path)


def _made(path: Path) -> str:
    name = f"{socket.gethostname().split('.')[0] or 'relay'}-{secrets.token_hex(4)}"
    try:
        make(path, f"{name}\n".encode())
    except OSError as error:
        raise SpoolError(refusal_of(path, error)) from error
    return name

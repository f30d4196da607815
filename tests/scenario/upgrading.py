"""`relay serve` of a version with one more revision of the schema, which may be killed on the way to it.

`python upgrading.py SCRIPTS HEAD CRASH PYTHON -m relay ARGUMENT...`; CRASH is where: copy, migration, commit or never.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from relay.spool import store, upgrade
from relay.spool.database import Database


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _half_a_copy(source: Path, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.part")
    shutil.copy(source, unfinished)
    os.truncate(unfinished, source.stat().st_size // 2)
    _die()


def main(scripts: str, head: str, crash: str, *arguments: str) -> None:
    """Serve."""

    def prepare(database: Database) -> None:
        upgrade.prepare(database, head, Path(scripts))
        if crash == "commit":
            _die()

    if crash == "copy":
        upgrade.back_up = _half_a_copy
    os.environ["CRASH"] = crash
    vars(store)["prepare"] = prepare
    sys.argv = ["relay", *arguments[3:]]

    from relay.__main__ import main as relay

    relay()


if __name__ == "__main__":
    main(*sys.argv[1:])

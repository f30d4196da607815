"""A machine that loses power while a newer version changes the schema of a spool with mail in it."""

import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from relay.spool.schema import REVISION
from relay.spool.upgrade import SCRIPTS
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.scenario import upgrading
from tests.scenario.conftest import StartRelay, plain_settings
from tests.scenario.load import digest_in
from tests.scenario.test_memory import MIB, send_large
from tests.soak.audit import copied, faults_of

HEAD = f"{int(REVISION) + 1:04d}"
MESSAGES = 5
_SCRIPT = '''"""One more column, filled, and an index."""

import os
import signal

import sqlalchemy as sa
from alembic import op

revision = "NEW"
down_revision = "OLD"


def upgrade() -> None:
    for table in ("messages", "recipients"):
        op.add_column(table, sa.Column("colour", sa.Text()))
        op.execute(f"UPDATE {table} SET colour = 'red'")
    if os.environ["CRASH"] == "migration":
        os.kill(os.getpid(), signal.SIGKILL)
    op.create_index("messages_by_colour", "messages", ["colour"])
'''


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Our migrations with one more."""
    folder = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, folder)
    (folder / "versions" / f"{HEAD}_colour.py").write_text(_SCRIPT.replace("NEW", HEAD).replace("OLD", REVISION))
    return folder


def _newer(scripts: Path, crash: str) -> list[str]:
    return [sys.executable, upgrading.__file__, str(scripts), HEAD, crash]


def _revision(connection: sqlite3.Connection) -> str:
    return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def _with_mail(relay: RelayProcess) -> set[str]:
    """Mail that waits in the spool of a relay that was killed; the digests of the bodies."""
    digests = {send_large(relay.port(), number * MIB // 2) for number in range(1, MESSAGES + 1)}
    relay.kill()
    return digests


@pytest.mark.parametrize("crash", ["copy", "migration", "commit"])
def test_killed_while_the_schema_is_upgraded(
    provider: ScriptedServer, start_relay: StartRelay, scripts: Path, crash: str
) -> None:
    provider.close()
    relay = start_relay(plain_settings(provider.port))
    digests = _with_mail(relay)
    relay.under = _newer(scripts, crash)
    relay.launch()
    assert relay.process is not None
    assert relay.process.wait(30) == -signal.SIGKILL, relay.log_text()[-2000:]
    with copied(relay.state_dir) as spool:
        assert _revision(spool) == (HEAD if crash == "commit" else REVISION)
        assert faults_of(spool) == []

    relay.under = _newer(scripts, "never")
    relay.start()
    provider.open()
    arrived = provider.wait_for(MESSAGES, 60)
    assert {digest_in(transaction.content) for transaction in arrived} == digests
    assert len(digests) == MESSAGES
    relay.wait_for_event("relayed", MESSAGES)
    assert relay.terminate() == 0
    assert len(provider.accepted) == MESSAGES

    with copied(relay.state_dir) as spool:
        assert _revision(spool) == HEAD
        assert faults_of(spool, ended=True) == []
        assert spool.execute("SELECT DISTINCT colour FROM recipients").fetchall() == [("red",)]
    before = relay.state_dir / f"queue.db.before-{HEAD}"
    assert before.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(f"file:{before}?mode=ro", uri=True)) as backup:
        assert _revision(backup) == REVISION
        assert faults_of(backup) == []
        assert backup.execute("SELECT count(*) FROM messages").fetchone() == (MESSAGES,)
    assert not list(relay.state_dir.glob("*.part"))

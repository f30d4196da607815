import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Inspector, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from relay.spool.contract import SpoolError
from relay.spool.database import Database
from relay.spool.schema import REVISION, chunks, gates, metadata, partial_on_postgresql
from relay.spool.upgrade import SCRIPTS, prepare, revision_of

_SECOND = '''"""One more column."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("gates") as table:
        table.add_column(sa.Column("colour", sa.Text()))
'''


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database without tables."""
    if request.param == "postgresql":
        return Database(str(request.getfixturevalue("empty_postgres_url")))
    return Database(f"sqlite:///{tmp_path / 'queue.db'}")


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Our migrations with a second one."""
    folder = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, folder)
    (folder / "versions" / "0005_second.py").write_text(_SECOND)
    return folder


def shape(connection: Connection) -> object:
    """Everything that the database says about its tables."""
    seen = inspect(connection)
    names = sorted(name for name in seen.get_table_names() if name != "alembic_version")
    sql = {}
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type = 'index'"))
        sql = {row.name: row.sql for row in rows}
        without = connection.execute(text("SELECT name, wr FROM pragma_table_list WHERE type = 'table'"))
        sql |= {row.name: row.wr for row in without if row.name in names}
    return [
        (
            name,
            [{**column, "type": str(column["type"])} for column in seen.get_columns(name)],
            seen.get_pk_constraint(name)["constrained_columns"],
            [(index["name"], index["column_names"], str(index.get("dialect_options"))) for index in _told(seen, name)],
        )
        for name in names
    ], sql


def _told(seen: Inspector, name: str) -> list[dict[str, Any]]:
    """The indexes, their conditions as text."""
    indexes: list[dict[str, Any]] = [{**index} for index in seen.get_indexes(name)]
    for index in indexes:
        index["dialect_options"] = {key: str(value) for key, value in index.get("dialect_options", {}).items()}
    return indexes


def test_a_new_database_is_made_whole(database: Database) -> None:
    prepare(database)
    prepare(database)
    with database.connect() as connection:
        assert revision_of(connection) == REVISION
        assert set(metadata.tables) <= set(inspect(connection).get_table_names())


def migrate(connection: Connection, revision: str) -> None:
    """Make the tables by our migrations alone."""
    from alembic import command
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(SCRIPTS))
    connection.exec_driver_sql("BEGIN")
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, revision)
    connection.exec_driver_sql("COMMIT")


_CHUNKS_BEFORE = text("INSERT INTO chunks (content, number, octets) VALUES (:content, :number, :octets)")


def test_content_of_before_row_ids_is_kept(database: Database) -> None:
    kept = [("id-1", 0, b"\0" * 300_000), ("id-1", 1, b"\xff"), ("id-2", 0, b"")]
    with database.connect() as connection:
        migrate(connection, "0002")
        rows = [{"content": content, "number": number, "octets": octets} for content, number, octets in kept]
        connection.execute(_CHUNKS_BEFORE, rows)
    prepare(database)
    with database.connect() as connection:
        assert connection.execute(select(chunks).order_by(*chunks.primary_key)).all() == [(*row, None) for row in kept]
        with pytest.raises(IntegrityError):
            connection.execute(insert(chunks), rows[0])


def test_migrations_make_what_the_schema_says(database: Database) -> None:
    from sqlalchemy import MetaData

    with database.connect() as connection:
        migrate(connection, "head")
        assert revision_of(connection) == REVISION
        migrated = shape(connection)
        everything = MetaData()
        everything.reflect(connection)
        everything.drop_all(connection)
        if not database.sqlite:
            partial_on_postgresql()
        metadata.create_all(connection)
        assert shape(connection) == migrated


def test_an_older_database_is_upgraded_and_kept_beside(
    database: Database, scripts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(database)
    assert "spool_upgrade" not in capsys.readouterr().err
    with database.connect() as connection:
        row = {"upstream": "gmail", "reason": "auth", "since_at": 1, "probes": 0}
        connection.execute(insert(gates).values(row))
    prepare(database, "0005", scripts)
    with database.connect() as connection:
        assert revision_of(connection) == "0005"
        assert connection.execute(text("SELECT upstream, colour FROM gates")).all() == [("gmail", None)]
    if database.sqlite:
        # The last lines before mail is taken say why that may take long.
        assert "may take minutes; queue.db.before-0005 is as it was" in capsys.readouterr().err
        before = Database(f"sqlite:///{tmp_path / 'queue.db.before-0005'}")
        with before.connect() as connection:
            assert revision_of(connection) == REVISION
            assert connection.execute(text("SELECT upstream FROM gates")).all() == [("gmail",)]


@pytest.mark.parametrize("ended", ["", '    op.execute("ROLLBACK")\n'], ids=["failed", "ended by the database"])
def test_an_upgrade_that_fails_changes_nothing(database: Database, scripts: Path, ended: str) -> None:
    prepare(database)
    wrong = scripts / "versions" / "0005_second.py"
    wrong.write_text(f'{_SECOND}{ended}    op.execute("nonsense")\n')
    with pytest.raises(SpoolError, match="nonsense"):
        prepare(database, "0005", scripts)
    with database.connect() as connection:
        assert revision_of(connection) == REVISION
        assert "colour" not in {column["name"] for column in inspect(connection).get_columns("gates")}
    prepare(database)


def test_a_newer_database_is_refused(database: Database) -> None:
    prepare(database)
    with database.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SpoolError, match="newer Relay: revision 9999"):
        prepare(database)


def test_the_revision_is_the_last_script() -> None:
    assert max(path.name[:4] for path in (SCRIPTS / "versions").glob("[0-9]*.py")) == REVISION


def test_alembic_is_loaded_for_an_upgrade_only(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from relay.spool.store import Spool

async def main():
    for _ in range(2):
        spool = await Spool.open("", Path({str(tmp_path)!r}))
        await spool.aclose()

asyncio.run(main())
unwanted = {{"alembic", "mako", "psycopg", "typer", "sqlalchemy.dialects.postgresql"}}
print(sorted(unwanted & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

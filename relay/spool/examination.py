"""Looks the whole spool over and says what is wrong with it, without changing anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing

from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from relay.spool.contract import SpoolError
from relay.spool.damaged_content import damaged_contents
from relay.spool.database import trouble
from relay.spool.file_state import file_findings, folder_findings
from relay.spool.finding import Finding, Holdings
from relay.spool.integrity import damaged_tables, only_indexes, salvage, table_findings
from relay.spool.invariants import INVARIANTS, broken, miscounted
from relay.spool.legibility import misread
from relay.spool.place import Place
from relay.spool.schema import REVISION, WAITING, metadata, recipients
from relay.spool.upgrade import revision_of


def examine(place: Place, upstreams: Collection[str], reserve: int) -> Iterator[Finding | Holdings]:
    """Give the findings as they come, and once what the spool holds, where that can be said.

    `upstreams` are those configured, `reserve` is `queue.reserve` in octets. Everything is read in statements of their
    own, so that a relay that runs meanwhile is not held up. Raises SpoolError where a server can't be reached.
    """
    if place.path is not None:
        found, worth_opening = file_findings(place.path, place)
        yield from found
        yield from folder_findings(place.path, place, reserve)
        if not worth_opening or any(finding.kind == "cut" for finding in found):
            return
    try:
        with closing(place.connect()) as connection:
            yield from _rows(connection, place, upstreams)
    except (SQLAlchemyError, SpoolError) as error:
        if place.path is None:
            text = f"queue.url: {trouble(error)}; see that the database runs and lets relay in"
            raise SpoolError(text) from error
        yield Finding(
            "unreadable",
            True,
            f"{place.path} cannot be read further: {trouble(error)}",
            "mail may be lost with it; relay serve may refuse it",
            salvage(place),
        )


def _rows(connection: Connection, place: Place, upstreams: Collection[str]) -> Iterator[Finding | Holdings]:
    revision = revision_of(connection)
    unknown = _schema(connection, revision)
    if unknown is not None:
        yield unknown
        if unknown.damage:
            return
    damaged = damaged_tables(connection) if place.path is not None else {}
    yield from table_findings(connection, place, damaged)
    if (damaged and not only_indexes(damaged)) or revision != REVISION:
        return
    yield _holdings(connection, revision)
    for invariant in INVARIANTS:
        finding = broken(connection, place, invariant)
        if finding is not None:
            yield finding
    finding = miscounted(connection, place)
    if finding is not None:
        yield finding
    yield from misread(connection, upstreams)
    yield from damaged_contents(connection)


def _schema(connection: Connection, revision: str | None) -> Finding | None:
    """Return what is found where the tables are not those of this Relay."""
    if revision is None:
        return Finding(
            "no_tables",
            True,
            "the database has no tables of Relay",
            "it is another program's, or nothing was ever accepted into it",
            ("relay serve     # makes them in an empty database",),
        )
    if revision > REVISION:
        return Finding(
            "newer",
            True,
            f"the spool was written by a newer Relay: revision {revision}, this one knows {REVISION}",
            "this version does not start on it",
            ("relay --version", "pip install NEWER-RELAY     # or put the copy from before the upgrade in its place"),
        )
    if revision < REVISION:
        return Finding(
            "older",
            False,
            f"the spool is of revision {revision}; this Relay brings it to {REVISION}",
            "relay serve does so at its start, and keeps a copy beside it; until then no more can be said",
            ("relay serve",),
        )
    seen = inspect(connection)
    tables = set(seen.get_table_names())
    missing = [name for name in metadata.tables if name not in tables]
    for name, table in metadata.tables.items():
        if name in tables:
            there = {column["name"] for column in seen.get_columns(name)}
            missing += [f"{name}.{column.name}" for column in table.columns if column.name not in there]
            indexes = {index["name"] for index in seen.get_indexes(name)}
            missing += [str(index.name) for index in table.indexes if index.name not in indexes]
    if not missing:
        return None
    return Finding(
        "tables_missing",
        True,
        f"the spool lacks {', '.join(missing)}",
        "somebody changed it; relay serve fails on it",
        ("systemctl stop relay", "cp -a /YOUR/BACKUP queue.db"),
    )


def _holdings(connection: Connection, revision: str | None) -> Holdings:
    rows = {
        name: int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() or 0)
        for name in ("messages", "recipients", "chunks", "unnamed", "events", "leases")
    }
    r = recipients.c
    waiting = connection.execute(select(r.state, func.count()).where(WAITING).group_by(r.state))
    return Holdings(revision, rows, dict(tuple(row) for row in waiting))

"""Damage inside a SQLite file: which tables it is in, and which messages it takes with it.

SQLite keeps no checksums: it finds pages that are no pages, and not octets that were changed within a text. Ours
(`checksum.py`) are looked at where the tables are sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from relay.spool.finding import EXAMPLES, Finding
from relay.spool.invariants import summed
from relay.spool.place import Place
from relay.spool.remains import known_ids, remains
from relay.spool.schema import metadata

_LINES: Final = 20

_MEANS: Final = {
    "messages": "who sent it, and where its content is",
    "recipients": "to whom it goes, and its state",
    "chunks": "its content",
    "events": "its trace",
    "leases": "which attempts run",
    "unnamed": "which content may be removed",
    "counts": "how much waits",
    "gates": "which upstreams are held",
    "uses": "what counts against the providers' limits",
    "meta": "the highest ID given so far",
}


def damaged_tables(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Return the damaged tables, each with what SQLite says. Raises DBAPIError where not even that can be found out."""
    there = {row.name for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    damaged = {}
    for name in metadata.tables:
        if name not in there:
            continue
        try:
            said = [row[0] for row in connection.exec_driver_sql(f"PRAGMA integrity_check('{name}')").fetchmany(_LINES)]
        except DBAPIError as error:
            said = [str(error.orig)]
        lines = tuple(line for text in said for line in str(text).splitlines() if line != "ok" and "***" not in line)
        if lines:
            damaged[name] = lines
    return damaged


def only_indexes(damaged: Mapping[str, tuple[str, ...]]) -> bool:
    """Return True where the tables are sound, and only what SQLite makes from them is not."""
    return all("index" in line for lines in damaged.values() for line in lines)


def table_findings(connection: Connection, place: Place, damaged: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    """Give what the damage means, and which messages it takes with it."""
    if not damaged:
        return
    said = "; ".join(f"{name}: {lines[0]:.100}" for name, lines in damaged.items())
    if only_indexes(damaged):
        yield Finding(
            "index_damaged",
            True,
            f"indexes do not agree with their tables ({said:.400})",
            "no mail is lost; what an index lacks is not claimed, or not shown",
            ("systemctl stop relay", place.statement("REINDEX"), "systemctl start relay"),
        )
        return
    lost = ", ".join(_MEANS.get(name, name) for name in damaged)
    yield Finding(
        "tables_damaged",
        True,
        f"the tables {', '.join(damaged)} are damaged ({said:.400})",
        f"of some messages it is not known any more: {lost}",
        salvage(place),
    )
    yield from _casualties(connection)


def salvage(place: Place) -> tuple[str, ...]:
    """Return the lines by which what can still be read becomes a spool again."""
    path = place.path
    return (
        "systemctl stop relay",
        f"relay spool salvage {path}.salvaged",
        f"relay spool check {path}.salvaged",
        f"mkdir {path}.damaged && mv {path} {path}.damaged/",
        f"mv {path}-wal {path}-shm {path}.damaged/     # where they are there",
        f"mv {path}.salvaged {path}",
        "systemctl start relay",
    )


def _casualties(connection: Connection) -> Iterator[Finding]:
    """Give the messages of which something can't be read, each looked up by itself."""
    driver: Any = connection.connection.driver_connection
    unsendable: dict[str, str | None] = {}
    ended: dict[str, str | None] = {}
    for id_ in known_ids(driver):
        left = remains(driver, id_)
        if not left.sendable:
            unsendable[id_] = left.client
        elif not left.traceable:
            ended[id_] = left.client
    if unsendable:
        yield Finding(
            "messages_damaged",
            True,
            "messages that may have waited cannot be read whole",
            "they cannot be sent; those of which not even the ID can be read are not counted",
            ("relay queue show ID     # for each: the sender and recipients; have the application send it again",),
            len(unsendable),
            tuple(unsendable)[:EXAMPLES],
            summed((client, 1) for client in unsendable.values()),
        )
    if ended:
        yield Finding(
            "traces_damaged",
            True,
            "messages have lost their history",
            "no mail is lost by it",
            (),
            len(ended),
            tuple(ended)[:EXAMPLES],
            summed((client, 1) for client in ended.values()),
        )

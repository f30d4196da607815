"""`relay status`: upstreams, queue, listeners and what expires, at a glance."""

from __future__ import annotations

from typing import Any

import typer

from relay.cli.invocation import invocation_of
from relay.cli.link import link_to
from relay.cli.output import duration_text, print_json, print_table, say
from relay.cli.remedy import say_remedy

_RECENT = ("id", "accepted", "client", "recipients", "event", "upstream", "reply")


def status(context: typer.Context) -> None:
    """Upstreams, queue, listeners, expiring secrets and certificates, at a glance."""
    invocation = invocation_of(context)
    with link_to(invocation.settings()) as link:
        found = link.ask("status")
    if invocation.json:
        print_json(found)
        return
    _print_state(found)
    print_table(
        ("LISTENER", "ADDRESS", "SECURITY", "CONNECTIONS"),
        ([row["name"], row["address"], row["security"], row["connections"]] for row in found["listeners"]),
        empty="No listener is open.",
    )
    print_table(
        ("UPSTREAM", "TYPE", "STATE", "WAITING", "CONNECTIONS", "LIMITS USED"),
        (
            [row["name"], row["type"], _state(row), sum(row["waiting"].values()), row["connections"], _quotas(row)]
            for row in found["upstreams"]
        ),
        empty="No upstream is configured.",
    )
    for row in found["upstreams"]:
        if row["diagnosis"]:
            say_remedy(f"{row['name']} is {row['state']}", row["diagnosis"])
    for row in found["detours"]:
        say(_detour(row))
    _print_queue(found)
    print_table(
        ("LATEST", "ACCEPTED", "CLIENT", "RECIPIENTS", "EVENT", "UPSTREAM", "REPLY"),
        ([row[name] for name in _RECENT] for row in found["recent"]),
        empty="No message has come yet.",
    )
    print_table(
        ("EXPIRES", "KIND", "DAYS LEFT", "ON", "SET"),
        (
            [row["what"], row["kind"].replace("_", " "), _days_left(row), _day(row), _age(row)]
            for row in found["expiring"]
        ),
        empty="Nothing that expires is known.",
    )


def _print_state(found: dict[str, Any]) -> None:
    if found["ready"]:
        say(f"Relay {found['version']} is running, for {duration_text(found['uptime_seconds'])}.")
    else:
        say(f"Relay {found['version']}: not ready: {found['reason']}")


def _print_queue(found: dict[str, Any]) -> None:
    recipients = found["queue"]["recipients"]
    oldest = found["queue"]["oldest_seconds"]
    waiting = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in recipients.items())
    say(f"Queue: {waiting}" + (f"; oldest {duration_text(oldest)}" if oldest is not None else ""))
    if recipients["held"]:
        say(
            f"Held: {recipients['held']} wait for a person; relay queue list shows which, "
            "and relay explain ID says why and what to type"
        )
    direct = sum(upstream["direct"] for upstream in found["upstreams"])
    if direct:
        say(f"Direct: {direct} messages whose applications wait for the upstream's answer")
    for name in found["orphaned"]:
        say(f"Mail waits for {name}, which is not configured any more: relay queue reroute --upstream {name} TO")


def _state(upstream: dict[str, Any]) -> str:
    if upstream["state"] != "held":
        return str(upstream["state"])
    probe = f", next try {upstream['next_probe']}" if upstream["next_probe"] else ""
    said = f": {upstream['reply']}" if upstream["reply"] else ""
    return f"held ({upstream['reason']} since {upstream['since']}{probe}){said}"


def _detour(row: dict[str, Any]) -> str:
    if row["by"] is None:
        return f"Mail of {row['client']} waits: neither {row['upstream']} nor another of its upstreams takes it."
    return (
        f"Mail of {row['client']} goes by {row['by']} instead of {row['upstream']}, which is out since {row['since']}."
    )


def _quotas(upstream: dict[str, Any]) -> str:
    return ", ".join(
        f"{quota['used']} of {quota['limit']} {name.replace('_', ' ')}" for name, quota in upstream["quotas"].items()
    )


def _days_left(expiry: dict[str, Any]) -> str:
    if expiry["days"] is None:
        return "unknown"
    return "EXPIRED" if expiry["days"] < 0 else str(expiry["days"])


def _day(expiry: dict[str, Any]) -> str | None:
    return str(expiry["expires"])[:10] if expiry["expires"] else None


def _age(expiry: dict[str, Any]) -> str | None:
    return f"{expiry['set_days_ago']} days ago" if expiry["set_days_ago"] is not None else None

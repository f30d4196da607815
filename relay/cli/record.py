"""The record of what was sent, as CSV (RFC 4180): a row for each recipient of each message."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from typing import Any, Final

_COLUMNS: Final = (
    "accepted",
    "id",
    "client",
    "sender",
    "message_id",
    "size",
    "recipient",
    "state",
    "time",
    "upstream",
    "reply",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def print_record(entries: Iterable[dict[str, Any]]) -> None:
    """Print the entries of a trace as they come; `time`, `upstream` and `reply` are of the recipient's last event.

    An apostrophe stands before what a spreadsheet would take for a formula: replies are others' words.
    """
    writer = csv.writer(sys.stdout)
    writer.writerow(_COLUMNS)
    for entry in entries:
        last = {event["recipient"]: event for event in entry["events"]}
        accepted = last.get(None, {})
        of_message = [entry[name] for name in ("accepted", "id", "client", "sender", "message_id", "size")]
        for recipient in entry["recipients"]:
            event = last.get(recipient, accepted)
            of_recipient = [recipient, entry["states"][recipient], *(event.get(name) for name in _COLUMNS[-3:])]
            writer.writerow(_cell(value) for value in (*of_message, *of_recipient))


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text

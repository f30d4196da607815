"""What became of the last message that went by an upstream: much is said only of a whole one. For `relay doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from relay.config.providers import Provider, provider_of
from relay.config.settings import Settings
from relay.control.reasons import diagnosis_of_event
from relay.control.shapes import instant, reply_text
from relay.diagnosis.diagnosis import Actor, Diagnosis
from relay.spool.contract import Inspection
from relay.spool.records import Selection, TraceEntry, TraceEvent
from relay.transfer.explanation import said_before_mail

DAY: Final = 86_400_000
"""Milliseconds; what happened longer ago says little of today."""

_LATEST: Final = 20
_TOLD: Final = {
    "relayed": "was relayed",
    "deferred": "was put off",
    "failed": "was refused",
    "held": "was held",
    "uncertain": "got no answer",
}
_OF_THE_MESSAGE: Final = frozenset({Actor.SENDER, Actor.RECIPIENT, Actor.VENDOR, Actor.NOBODY})


@dataclass(frozen=True, slots=True)
class LastMessage:
    """`diagnosis` is None where it was relayed."""

    id: str
    event: TraceEvent
    diagnosis: Diagnosis | None
    provider: Provider = "smtp"

    @property
    def accuses(self) -> bool:
        """True where the account or the way is at fault, and somebody has to do something."""
        return self.diagnosis is not None and self.diagnosis.actor not in _OF_THE_MESSAGE

    def accuses_still(self, *, logged_in: bool) -> bool:
        """True where it does now: a login that works shows that what stood before it is over."""
        said = self.event.reply if self.event.event == "deferred" else None
        return self.accuses and not (logged_in and said is not None and said_before_mail(said, self.provider))

    @property
    def told(self) -> str:
        """For people, on one line."""
        return f"{self.id} {_TOLD[self.event.event]} at {instant(self.event.at)}"

    def shape(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        why = (
            self.diagnosis.shape() if self.diagnosis is not None else dict.fromkeys(("title", "cause", "actor", "link"))
        )
        return {
            "id": self.id,
            "time": instant(self.event.at),
            "event": self.event.event,
            "reply": reply_text(self.event.reply),
            "actions": [],
            **why,
        }


async def last_message_of(name: str, inspection: Inspection, settings: Settings, now: int) -> LastMessage | None:
    """Return what became of it within the last day; None where there was none."""
    entries = await inspection.trace(Selection(upstream=name), None, now - DAY, _LATEST)
    found = [one for entry in entries if not entry.message.notice for one in _ended(name, entry)]
    if not found:
        return None
    entry, at, event = max(found, key=lambda one: one[2].at)
    diagnosis = None if event.event == "relayed" else diagnosis_of_event(event, entry, at, settings)
    return LastMessage(entry.message.id, event, diagnosis, provider_of(settings.upstream[name]))


def _ended(name: str, entry: TraceEntry) -> Sequence[tuple[TraceEntry, int, TraceEvent]]:
    places = {str(row.recipient.forward_path): at for at, row in enumerate(entry.recipients)}
    events = (event for event in entry.events if event.upstream == name and event.event in _TOLD)
    return [(entry, places.get(event.recipient or "", 0), event) for event in events]

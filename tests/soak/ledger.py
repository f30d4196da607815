"""What was promised, and what arrived."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from tests.rig.script import Transaction
from tests.soak.mail import Mail, damage_of, mark_in


@dataclass(slots=True)
class Ledger:
    """Written by the sessions' threads and the upstream's.

    `promised` got 250, with the ID; `open` was sent to its end and has no reply (yet); `abandoned` never was sent to
    its end. `taken` counts by forward-path how often the upstream took the message over.
    """

    sent: dict[str, Mail] = field(default_factory=dict)
    promised: dict[str, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    abandoned: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    damaged: list[str] = field(default_factory=list)
    _due: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note_end(self, mail: Mail) -> None:
        """The end of the message is about to be sent."""
        with self._lock:
            self.sent[mail.mark] = mail
            self.open.add(mail.mark)

    def note_abandoned(self, mail: Mail) -> None:
        """The message will never be sent to its end."""
        with self._lock:
            self.abandoned.add(mail.mark)

    def note_reply(self, mail: Mail, reply: str) -> None:
        """The reply to the end of the message."""
        with self._lock:
            self.open.discard(mail.mark)
            if not reply.startswith("250 2.0.0 Ok: queued as "):
                self.abandoned.add(mail.mark)
                self.refused[reply] += 1
                return
            self.promised[mail.mark] = reply.rpartition(" ")[2]
            self._due.update(path for path in mail.recipients if not self.taken[path])

    def note_arrival(self, transaction: Transaction) -> None:
        """A message that the upstream read to its end, whatever it answered."""
        mark = mark_in(transaction.content)
        with self._lock:
            mail, identifier = self.sent.get(mark), self.promised.get(mark)
        if mail is None:
            self.damaged.append(f"{mark!r} arrived and was never sent to its end: {transaction.content[:300]!r}")
            return
        paths = [path.partition(">")[0].lstrip("<") for path in transaction.recipients]
        damage = damage_of(transaction.content, mail, identifier)
        if damage is not None:
            self.damaged.append(f"{mark}: {damage}")
        if not set(paths) <= set(mail.recipients) or len(paths) != len(set(paths)):
            self.damaged.append(f"{mark}: it arrived for {paths}")
        with self._lock:
            if not transaction.accepted:
                self.unanswered += not transaction.reply
                return
            self.taken.update(paths)
            self._due.difference_update(paths)

    def due(self) -> int:
        """How many recipients of promised messages have not yet got theirs."""
        with self._lock:
            return len(self._due)

    def lost(self) -> list[str]:
        """The forward-paths of promised messages that did not arrive."""
        with self._lock:
            return sorted(self._due)

    def identifiers(self) -> set[str]:
        """The IDs of all that was promised."""
        with self._lock:
            return set(self.promised.values())

    def known(self) -> set[str]:
        """The forward-paths of all that may be in the spool."""
        with self._lock:
            return {path for mark in {*self.promised, *self.open} for path in self.sent[mark].recipients}

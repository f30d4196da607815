"""Whether an upstream gives no answer although it is asked: it hangs, and no conversation has ended that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.reply import reply

NO_ANSWER: Final = reply(451, "4.4.2", "No answer")


@dataclass(slots=True)
class Silence:
    """One upstream's. `conversations` counts those that got as far as MAIL."""

    since_at: int | None = None
    conversations: int = 0

    def look(self, opening: int, past_login: int, conversations: int, at: int) -> int | None:
        """Return since when every attempt hangs before MAIL; None where one has come farther, or none is made.

        `opening` attempts are not at MAIL yet, `past_login` are.
        """
        if not opening or past_login or conversations != self.conversations:
            self.since_at = None
        if opening and not past_login and self.since_at is None:
            self.since_at = at
        self.conversations = conversations
        return self.since_at

"""An upstream that fails a third of the time, at every stage, and survives what happens to Relay."""

from random import Random

from tests.rig.script import Answer, Script, Transaction
from tests.rig.scripted import ScriptedServer
from tests.soak.ledger import Ledger

_FAILURES: dict[str, tuple[float, tuple[Answer, ...]]] = {
    "CONNECT": (0.03, (Answer("421 4.3.2 Busy", close=True), Answer(None, reset=True))),
    "EHLO": (0.03, (Answer("421 4.3.2 Busy", close=True), Answer(None, close=True))),
    "MAIL": (0.08, (Answer("451 4.3.0 Later"), Answer(None, close=True), Answer("421 4.4.1 Session", close=True))),
    "RCPT": (0.05, (Answer("450 4.2.1 Later"), Answer("452 4.5.3 Too many"), Answer(None, reset=True))),
    "DATA": (0.06, (Answer("451 4.3.0 Later"), Answer(None, reset=True), Answer("354 Go on", close=True))),
    "BODY": (
        0.15,
        (
            Answer("452 4.3.1 Full"),
            Answer("421 4.3.0 Going", close=True),
            Answer(None, close=True),
            Answer(None, delay=0.2, reset=True),
        ),
    ),
}
_SLOW = 0.05


class Unreliable(Script):
    """Answers by chance until `quiet` is set."""

    __slots__ = ("_chance", "failures", "quiet")

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance
        self.failures = 0
        self.quiet = False

    def answer_at(self, stage: str, default: str, recipient: str = "") -> Answer:
        """What to answer now."""
        share, answers = _FAILURES.get(stage, (0.0, ()))
        if self.quiet:
            return Answer(default)
        drawn = self._chance.random()
        if drawn < share:
            self.failures += 1
            return self._chance.choice(answers)
        return Answer(default, delay=self._chance.uniform(0.02, 0.4) if drawn > 1 - _SLOW else 0.0)


class _Desk(list[Transaction]):
    """Hands what arrives to the ledger and keeps nothing of it."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def append(self, transaction: Transaction) -> None:
        """Take one message."""
        self._ledger.note_arrival(transaction)


class UnreliableUpstream(ScriptedServer):
    """The server, with its chances in `chances`."""

    def __init__(self, ledger: Ledger, chance: Random) -> None:
        super().__init__()
        self.script = self.chances = Unreliable(chance)
        self.transactions = _Desk(ledger)

"""The rounds: Relay under load ends in every manner, starts again, and is held to what it promised."""

import os
import re
import threading
import time
from pathlib import Path
from random import Random

from tests.rig.relay import RelayProcess
from tests.rig.toml import Value
from tests.rig.waiting import wait_until
from tests.soak.audit import copied, excuses_in, faults_of, identifiers_in
from tests.soak.ledger import Ledger
from tests.soak.session import Session
from tests.soak.upstream import UnreliableUpstream

SESSIONS = 20
_ENDINGS = ("killed", "killed", "stopped", "killed", "killed while stopping", "killed while starting")
_LONGEST_STOP = 25.0
_QUIET = re.compile(r'^\{.*"level": ?"(debug|info|warning)".*\}$')


class Soak:
    """One run. `seed` makes the same load and the same failures, though not the same moments."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.seed = seed
        self.ledger = Ledger()
        self.faults: list[str] = []
        self._chance = Random(seed)  # noqa: S311 - not for secrets
        self.upstream = UnreliableUpstream(self.ledger, Random(f"{seed}/upstream"))  # noqa: S311
        self._folder = folder
        self._over = threading.Event()
        self._sessions: list[Session] = []

    def run(self, rounds: int) -> str:
        """Run so many rounds; return what happened in one line. AssertionError, with the seed, for what is wrong."""
        began = time.monotonic()
        with self.upstream:
            relay = RelayProcess(self._folder, _settings(self.upstream.port))
            try:
                self._rounds(relay, rounds)
                self._end(relay)
            except (AssertionError, KeyError) as error:
                self.faults.append(str(error))
            finally:
                self._stop_load()
                relay.kill()
        self._judge(relay)
        ledger, again = self.ledger, sum(count - 1 for count in self.ledger.taken.values())
        summary = (
            f"seed {self.seed}: {rounds} rounds in {time.monotonic() - began:.0f} s; {len(ledger.promised)} messages "
            f"got 250, {len(ledger.open)} no reply, {len(ledger.abandoned)} were broken off or refused; upstream "
            f"failed {self.upstream.chances.failures} times, {ledger.unanswered} behind the final dot; {again} "
            "recipients got theirs again"
        )
        assert not self.faults, "\n".join([summary, *self.faults[:20]])
        return summary

    def _rounds(self, relay: RelayProcess, rounds: int) -> None:
        relay.start()
        self._sessions = [
            Session(number, relay.port(), self.seed, self.ledger, self._over) for number in range(SESSIONS)
        ]
        for session in self._sessions:
            session.start()
        endings: list[str] = []
        for number in range(rounds):
            if not endings:
                endings = self._chance.sample(_ENDINGS, len(_ENDINGS))
            self._round(relay, number, endings.pop())
            if self.faults:
                break
            relay.start()

    def _round(self, relay: RelayProcess, number: int, ending: str) -> None:
        before = len(self.ledger.promised)
        wait_until(lambda: len(self.ledger.promised) > before + 10, f"load in round {number}", 60)
        time.sleep(self._chance.uniform(0.0, 2.0))  # a moment that nothing marks is just what is wanted
        if ending == "stopped":
            self._stopped(relay, number)
        elif ending == "killed while stopping":
            assert relay.process is not None
            relay.process.terminate()
            time.sleep(self._chance.uniform(0.0, 0.5))
            relay.kill()
        else:
            relay.kill()
        if ending == "killed while starting":
            relay.launch()
            time.sleep(self._chance.uniform(0.0, 1.5))
            relay.kill()
        promised = self.ledger.identifiers()
        with copied(relay.state_dir) as spool:
            self.faults += [f"round {number}, {ending}: {fault}" for fault in faults_of(spool)]
            lost = promised - identifiers_in(spool)
        if lost:
            self.faults.append(f"round {number}, {ending}: promised and not in the spool: {sorted(lost)[:5]}")

    def _stopped(self, relay: RelayProcess, number: int) -> None:
        began = time.monotonic()
        status = relay.terminate(60)
        took = time.monotonic() - began
        if status != 0 or took > _LONGEST_STOP:
            self.faults.append(f"round {number}: SIGTERM ended it with {status} after {took:.1f} s")

    def _end(self, relay: RelayProcess) -> None:
        self._stop_load()
        self.upstream.chances.quiet = True
        wait_until(lambda: not self.ledger.due(), "everything promised to arrive", 120, pause=0.1)
        wait_until(lambda: not relay.metric("relay_queue_recipients"), "an empty queue", 60, pause=0.1)
        self._stopped(relay, -1)

    def _stop_load(self) -> None:
        self._over.set()
        for session in self._sessions:
            session.join(40)
            self.faults += [f"{session.name}: {text}" for text in session.unexpected]
        self._sessions.clear()

    def _judge(self, relay: RelayProcess) -> None:
        ledger = self.ledger
        self.faults += [f"damaged: {text}" for text in ledger.damaged]
        self.faults += [f"lost: {path}" for path in ledger.lost()]
        self.faults += [f"refused: {reply}" for reply in ledger.refused if not reply.startswith("421")]
        self.faults += [f"log: {line}" for line in relay.log_text().splitlines() if not _QUIET.search(line)]
        with copied(relay.state_dir) as spool:
            self.faults += [f"at the end: {fault}" for fault in faults_of(spool, ended=not self.faults)]
            excuses = excuses_in(spool)
        if excuses.keys() != ledger.taken.keys():
            self.faults.append(f"in the spool and not arrived: {sorted(excuses.keys() - ledger.taken.keys())[:5]}")
            self.faults.append(f"arrived and not in the spool: {sorted(ledger.taken.keys() - excuses.keys())[:5]}")
        self.faults += [
            f"{path} arrived {count} times, with {excuses[path]} attempts whose end is unknown"
            for path, count in ledger.taken.items()
            if count > 1 + excuses[path]
        ]
        self.faults += [f"never sent to its end, and arrived: {path}" for path in ledger.taken.keys() - ledger.known()]


def seed_of_this_run() -> str:
    """A new seed, or the one in $SOAK_SEED."""
    return os.environ.get("SOAK_SEED") or os.urandom(4).hex()


def _settings(port: int) -> dict[str, Value]:
    return {
        "listener": {"submission": {"security": "none", "max_message_size": "160MiB"}},
        "client": {"clinic": {"networks": ["127.0.0.0/8"], "upstream": "provider"}},
        "upstream": {"provider": {"type": "smtp", "host": "127.0.0.1", "port": port, "security": "none"}},
        "queue": {
            "retry_first": "200ms",
            "retry_most": "1s",
            "jitter": 0.0,
            "retry_ambiguous": "300ms",
            "ambiguous_attempts": 1000,
        },
    }

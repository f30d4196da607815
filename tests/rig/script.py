"""What the scripted SMTP server answers, and what it wrote down."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

STAGES = ("CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BODY", "RSET", "NOOP", "QUIT")
"""Where an answer can be scripted. CONNECT is the greeting, BODY what follows the final dot."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply: `text` with LF between its lines, None for silence. `delay` seconds before it.

    `close` ends the connection afterwards (`Answer(None, close=True)`: instead of a reply); `reset` ends it by RST.
    """

    text: str | None
    delay: float = 0.0
    close: bool = False
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """One message as it came. `sender` and `recipients` are what stood after `MAIL FROM:` and the accepted `RCPT TO:`,
    parameters included. `content` is unstuffed, with CRLF line ends; empty where the server keeps only the digest.
    `login` is the user name, None without AUTH. `at` is time.monotonic() at MAIL."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    size: int
    sha256: str
    tls: bool
    login: str | None
    reply: str
    at: float

    @property
    def accepted(self) -> bool:
        """Whether the server took the message over."""
        return self.reply.startswith("2")


@dataclass(slots=True)
class Script:
    """Answers by stage: those scripted once, in order, before the standing one. May change while the server runs."""

    standing: dict[str, Answer] = field(default_factory=dict)
    once: dict[str, deque[Answer]] = field(default_factory=dict)
    recipients: dict[str, Answer] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def then(self, stage: str, *answers: Answer | str | None) -> None:
        """The next answers at a stage, each given once."""
        with self.lock:
            self.once.setdefault(_known(stage), deque()).extend(_answers(answers))

    def always(self, stage: str, answer: Answer | str | None) -> None:
        """The answer at a stage from now on; scripted ones go before it."""
        with self.lock:
            self.standing[_known(stage)] = next(_answers([answer]))

    def for_recipient(self, address: str, answer: Answer | str) -> None:
        """The answer to RCPT for this address, whatever else is scripted."""
        with self.lock:
            self.recipients[address.lower()] = next(_answers([answer]))

    def well_again(self) -> None:
        """Forgets everything scripted."""
        with self.lock:
            self.standing.clear()
            self.once.clear()
            self.recipients.clear()

    def answer_at(self, stage: str, default: str, recipient: str = "") -> Answer:
        """What to answer now."""
        with self.lock:
            if recipient.lower() in self.recipients:
                return self.recipients[recipient.lower()]
            waiting = self.once.get(stage)
            if waiting:
                return waiting.popleft()
            return self.standing.get(stage, Answer(default))

    def has(self, stage: str) -> bool:
        """Whether anything is scripted at this stage now."""
        with self.lock:
            return bool(self.once.get(stage)) or stage in self.standing


def _known(stage: str) -> str:
    if stage not in STAGES:
        raise ValueError(f"{stage} is no stage: {', '.join(STAGES)}")
    return stage


def _answers(answers: Iterable[Answer | str | None]) -> Iterator[Answer]:
    return iter([answer if isinstance(answer, Answer) else Answer(answer) for answer in answers])

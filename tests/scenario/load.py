"""Many sessions at once that note exactly which messages got their 250."""

import hashlib
import smtplib
import threading
from dataclasses import dataclass, field

SENDER = "no-reply@clinic.test"


@dataclass(slots=True)
class Load:
    """`sessions` threads, each sending until `stop` or until the relay goes; `accepted` maps a mark to a digest.

    `uncertain` are messages whose final dot was sent and whose reply never came.
    """

    port: int
    sessions: int = 20
    size: int = 6000
    accepted: dict[str, str] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        self._threads = [threading.Thread(target=self._session, args=(number,)) for number in range(self.sessions)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and wait for all sessions."""
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _session(self, number: int) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as connection:
                count = 0
                while not self._over.is_set():
                    count += 1
                    self._send(connection, f"mark-{number}-{count}")
        except (OSError, smtplib.SMTPException):
            return  # the relay was killed: what it had answered counts

    def _send(self, connection: smtplib.SMTP, mark: str) -> None:
        body = body_of(mark, self.size)
        connection.ehlo_or_helo_if_needed()
        if connection.mail(SENDER)[0] != 250 or connection.rcpt(f"{mark}@example.test")[0] != 250:
            raise smtplib.SMTPException("refused")
        if connection.docmd("DATA")[0] != 354:
            raise smtplib.SMTPException("refused")
        head = f"From: <{SENDER}>\r\nSubject: {mark}\r\nX-Mark: {mark}\r\n\r\n"
        self.uncertain.add(mark)
        connection.send(head.encode() + body + b".\r\n")
        if connection.getreply()[0] == 250:
            self.accepted[mark] = hashlib.sha256(body).hexdigest()
        self.uncertain.discard(mark)


def body_of(mark: str, size: int) -> bytes:
    """The body of a message: no two are the same."""
    line = hashlib.sha512(mark.encode()).hexdigest().encode() + b"\r\n"
    return line * (size // len(line) + 1)


def mark_in(content: bytes) -> str:
    """The mark of a message that arrived."""
    return content.partition(b"X-Mark: ")[2].partition(b"\r\n")[0].decode()


def digest_in(content: bytes) -> str:
    """The digest of the body of a message that arrived."""
    return hashlib.sha256(content.partition(b"\r\n\r\n")[2]).hexdigest()

"""One application that sends without end, in every manner that Relay offers, and comes back when Relay does."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.soak.ledger import Ledger
from tests.soak.mail import SENDER, Mail, mail_of, stuffed

MOST_DUE = 1000
"""Recipients waiting at which sessions pause, so that the end of a run is near."""

_KIB = 1024


class _Over(Exception):  # noqa: N818 - also a good end
    """The connection is over."""


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    buffer: bytearray

    def say(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def reply(self) -> str:
        """The last line of the next reply."""
        while True:
            line, end, rest = self.buffer.partition(b"\r\n")
            if not end:
                piece = self.socket.recv(1 << 16)
                if not piece:
                    raise _Over
                self.buffer += piece
                continue
            self.buffer = rest
            if line[3:4] != b"-":
                return line.decode()

    def expect(self, code: str) -> None:
        """Read a reply that has to be this one."""
        found = self.reply()
        if not found.startswith(code):
            raise _Over(found)


class Session(threading.Thread):
    """Sends until `over` is set. Each message has a mark of its own and is sent once."""

    def __init__(self, number: int, port: int, seed: str, ledger: Ledger, over: threading.Event) -> None:
        super().__init__(name=f"session-{number}", daemon=True)
        self._number, self._port, self._ledger, self._over = number, port, ledger, over
        self._chance = Random(f"{seed}/{number}")  # noqa: S311 - not for secrets
        self._count = 0
        self.unexpected: list[str] = []

    def run(self) -> None:
        """Connect again and again."""
        while not self._over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=30) as opened:
                    self._converse(_Connection(opened, bytearray()))
            except _Over as gone:
                if gone.args and not gone.args[0].startswith("421"):
                    self.unexpected.append(gone.args[0])
            except TimeoutError:
                self.unexpected.append("no reply within 30 s")
            except OSError:
                pass  # killed, or not yet started again: what it had answered counts
            self._over.wait(0.05)

    def _converse(self, connection: _Connection) -> None:
        connection.expect("220")
        connection.say(b"EHLO soak.test\r\n")
        connection.expect("250")
        while not self._over.is_set():
            if self._ledger.due() > MOST_DUE:
                time.sleep(0.05)
                continue
            self._send(connection)
            time.sleep(self._chance.uniform(0.0, 0.2))
        connection.say(b"QUIT\r\n")
        connection.expect("221")

    def _send(self, connection: _Connection) -> None:
        self._count += 1
        drawn = self._chance.random()
        size = 2048 * _KIB if drawn < 0.015 else 200 * _KIB if drawn < 0.12 else 4 * _KIB
        recipients = self._chance.choice((1, 1, 1, 2, 5, 12)) if size < 2048 * _KIB else 1
        mail, body = mail_of(f"m{self._number}-{self._count}", self._chance, size, recipients)
        content = mail.head + b"\r\n" + body
        manner = self._chance.choice((self._by_data, self._by_data, self._pipelined, self._by_bdat, self._bdat_at_once))
        if self._chance.random() < 0.03:
            manner = self._chance.choice((self._abandoned, self._abandoned_bdat, self._hasty))
        manner(connection, mail, content)

    # ---- manners

    def _by_data(self, connection: _Connection, mail: Mail, content: bytes) -> None:
        for command in _envelope(mail):
            connection.say(command)
            connection.expect("250")
        connection.say(b"DATA\r\n")
        connection.expect("354")
        self._end(connection, mail, lambda: connection.say(stuffed(content)))

    def _pipelined(self, connection: _Connection, mail: Mail, content: bytes) -> None:
        connection.say(b"".join(_envelope(mail)) + b"DATA\r\n")
        for _ in _envelope(mail):
            connection.expect("250")
        connection.expect("354")
        self._end(connection, mail, lambda: connection.say(stuffed(content)))

    def _by_bdat(self, connection: _Connection, mail: Mail, content: bytes) -> None:
        for command in _envelope(mail):
            connection.say(command)
            connection.expect("250")
        *first, last = self._cut(content)
        for piece in first:
            connection.say(b"BDAT %d\r\n" % len(piece) + piece)
            connection.expect("250")
        self._end(connection, mail, lambda: connection.say(b"BDAT %d LAST\r\n" % len(last) + last))

    def _bdat_at_once(self, connection: _Connection, mail: Mail, content: bytes) -> None:
        *first, last = self._cut(content)
        chunks = [b"BDAT %d\r\n" % len(piece) + piece for piece in first]
        whole = b"".join([*_envelope(mail), *chunks, b"BDAT %d LAST\r\n" % len(last), last])

        def end() -> None:
            connection.say(whole)
            for _ in range(len(_envelope(mail)) + len(chunks)):
                connection.expect("250")

        self._end(connection, mail, end)

    def _abandoned(self, connection: _Connection, mail: Mail, content: bytes) -> None:
        self._ledger.note_abandoned(mail)
        connection.say(b"".join(_envelope(mail)) + b"DATA\r\n" + stuffed(content)[: -self._chance.randint(1, 600)])
        raise _Over

    def _abandoned_bdat(self, connection: _Connection, mail: Mail, content: bytes) -> None:
        self._ledger.note_abandoned(mail)
        cut = self._chance.randrange(len(content))
        chunks = b"BDAT %d\r\n" % cut + content[:cut] + b"BDAT %d LAST\r\n" % (len(content) - cut) + content[cut:-1]
        connection.say(b"".join(_envelope(mail)) + chunks)
        raise _Over

    def _hasty(self, connection: _Connection, mail: Mail, content: bytes) -> None:
        """Hangs up behind the final dot without waiting for the reply."""
        self._ledger.note_end(mail)
        connection.say(b"".join(_envelope(mail)) + b"DATA\r\n" + stuffed(content))
        raise _Over

    def _end(self, connection: _Connection, mail: Mail, send: Callable[[], None]) -> None:
        self._ledger.note_end(mail)
        send()
        self._ledger.note_reply(mail, connection.reply())

    def _cut(self, content: bytes) -> list[bytes]:
        places = sorted(self._chance.randrange(len(content)) for _ in range(self._chance.randint(0, 3)))
        return [content[a:b] for a, b in zip([0, *places], [*places, len(content)], strict=True)]


def _envelope(mail: Mail) -> list[bytes]:
    mail_from = f"MAIL FROM:<{SENDER}> BODY=8BITMIME\r\n".encode()
    return [mail_from, *(f"RCPT TO:<{path}>\r\n".encode() for path in mail.recipients)]

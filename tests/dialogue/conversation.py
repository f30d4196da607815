r"""The form of a `.smtp` file, and its player.

Above a line of dashes stands TOML, laid over `entrance.DEFAULTS`. Below, one thing a line:

    C: EHLO pc            the client sends this line; lines that follow each other leave in one segment
    c: DATA\r\nx          the same without the line end
    S: 250 2.0.0 *        the server says this line; * stands for anything
    S*: 250               a whole reply, of any number of lines, each with this code
    TLS                   the client becomes a TLS client
    END                   the server closes the connection, and says nothing more
    HANG UP               the client closes it
    AGAIN                 the client closes it and connects anew
    WAIT 0.2              the client does nothing for so long

    MESSAGES 1            so many messages are in the spool
    FROM a@b.test         the last one's reverse-path
    TO c@d.test,e@f.test  ... its recipients
    HEADER Subject: x     ... has this header line; NO HEADER Bcc: one that begins so is not there
    BODY a\r\nb\r\n       ... its body, exactly

Escapes: \r \n \t \0 \\ \xHH; {64:text} is its base64; {cram:user:password} answers the last challenge;
    {x*1000} repeats x.
"""

import asyncio
import fnmatch
import hashlib
import hmac
import re
import tomllib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path

from tests.dialogue.entrance import Entrance, client_context, entrance
from tests.dialogue.visitor import Visitor

_PATIENCE = 10.0
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))")
_REPEATED = re.compile(rb"\{([^{}]+)\*(\d+)\}")
_COMPUTED = re.compile(rb"\{(?:64:(?P<plain>[^}]*)|cram:(?P<user>[^:}]*):(?P<secret>[^}]*))\}")
_PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\", b"s": b" "}


@dataclass(frozen=True)
class Conversation:
    """A file, read."""

    tables: dict[str, object]
    lines: tuple[tuple[int, str], ...]


def read(path: Path) -> Conversation:
    head, dashes, body = path.read_text("utf-8").partition("\n---\n")
    if not dashes:
        head, body = "", head
    offset = head.count("\n") + 2 if dashes else 0
    lines = [(number + offset, line) for number, line in enumerate(body.splitlines(), 1)]
    return Conversation(tomllib.loads(head), tuple((n, line) for n, line in lines if line and not line.startswith("#")))


class Player:
    """Plays one conversation against an entrance."""

    def __init__(self, at: Entrance) -> None:
        self.at = at
        self.challenge = b""
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self) -> None:
        visitor = await Visitor.connect(self.at.port())
        self.reader, self.writer = visitor.reader, visitor.writer

    async def play(self, conversation: Conversation) -> None:
        await self.connect()
        pending = b""
        for number, line in conversation.lines:
            if line.startswith(("C: ", "c: ")) or line == "C:":
                pending += self.octets(line[3:]) + (b"\r\n" if line[0] == "C" else b"")
                continue
            if pending:
                self.writer.write(pending)
                pending = b""
            try:
                await asyncio.wait_for(self.step(line), _PATIENCE)
            except (AssertionError, TimeoutError, ConnectionError, EOFError) as error:
                raise AssertionError(f"line {number}: {line}: {error or type(error).__name__}") from error
        assert not pending, "the file ends with the client speaking"
        self.writer.close()

    async def step(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "S:":
            await self.expect_line(rest)
        elif word == "S*:":
            await self.expect_reply(rest)
        elif line == "TLS":
            await self.writer.start_tls(client_context())
        elif line == "END":
            left = await self.reader.read()
            assert left == b"", f"the server said {left!r}"
        elif line in {"HANG UP", "AGAIN"}:
            self.writer.close()
            if line == "AGAIN":
                await self.connect()
        elif word == "WAIT":
            await asyncio.sleep(float(rest))
        else:
            await self.expect_message(line)

    async def expect_line(self, pattern: str) -> None:
        said = (await self.reader.readuntil(b"\r\n"))[:-2].decode()
        if said.startswith("334 "):
            self.challenge = b64decode(said[4:])
        assert fnmatch.fnmatchcase(said, pattern.replace("[", "[[]")), f"the server said {said!r}"

    async def expect_reply(self, code: str) -> None:
        while True:
            said = (await self.reader.readuntil(b"\r\n"))[:-2].decode()
            assert said.startswith(code), f"the server said {said!r}"
            if said[3:4] == " ":
                return

    async def expect_message(self, line: str) -> None:
        messages = await self.at.messages()
        if line.startswith("MESSAGES "):
            assert len(messages) == int(line[9:]), f"{len(messages)} messages"
            return
        entry, content = messages[-1]
        header, _, body = content.partition(b"\r\n\r\n")
        fields = header.split(b"\r\n")
        if line.startswith("FROM "):
            assert str(entry.message.reverse_path or "<>") == line[5:], f"it is {entry.message.reverse_path}"
        elif line.startswith("TO "):
            found = ",".join(str(row.recipient.forward_path) for row in entry.recipients)
            assert found == line[3:], f"they are {found}"
        elif line.startswith("HEADER "):
            assert self.octets(line[7:]) in fields, f"it is {header!r}"
        elif line.startswith("NO HEADER "):
            assert not any(field.startswith(line[10:].encode()) for field in fields), f"it is {header!r}"
        elif line.startswith("BODY"):
            assert body == self.octets(line[5:]), f"it is {body[:500]!r}"
        else:
            raise AssertionError("this means nothing")

    def octets(self, text: str) -> bytes:
        def plain(found: re.Match[bytes]) -> bytes:
            return bytes.fromhex(found[1].decode()) if found[1] else _PLAIN[found[2]]

        def computed(found: re.Match[bytes]) -> bytes:
            if found["plain"] is not None:
                return b64encode(_ESCAPE.sub(plain, found["plain"]))
            digest = hmac.new(found["secret"], self.challenge, hashlib.md5).hexdigest()
            return b64encode(found["user"] + b" " + digest.encode())

        repeated = _REPEATED.sub(lambda found: found[1] * int(found[2]), text.encode())
        return _ESCAPE.sub(plain, _COMPUTED.sub(computed, repeated))


async def play(path: Path, folder: Path) -> None:
    """Play one file in a folder of its own."""
    conversation = read(path)
    async with entrance(folder, conversation.tables) as at:
        await Player(at).play(conversation)

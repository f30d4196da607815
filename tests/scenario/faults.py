"""The fault table: whatever an upstream may do at any stage, and what has to become of the message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.rig.odd import Talk, silent_until_data, up_to
from tests.rig.script import Answer
from tests.rig.scripted import EXTENSIONS

SENDER = "no-reply@clinic.test"
MESSAGE = b"From: <no-reply@clinic.test>\r\nSubject: Result\r\n\r\n" + b"Your result.\r\n" * 20
LARGE = MESSAGE + (b"x" * 70 + b"\r\n") * 170_000

Reaction = Answer | str
"""A whole reply, or how it comes."""

CLOSED, RESET, SILENT = Answer(None, close=True), Answer(None, reset=True), Answer(None)
GARBLED, BINARY = Answer("Hello, this is not SMTP"), Answer("\x16\x03\x01\x02\0\x01\0")
ENDLESS, ONE_LINE = Answer("250-endless\n" * 800_000 + "250 at last"), Answer("250 " + "x" * 10_000_000)
CONTROL = Answer("451 4.3.0 with \0, \x1b[31m and \x9b in it")

SECURE: dict[str, Any] = {"security": "starttls", "leaf": "right"}
LOGIN: dict[str, Any] = {"users": {"clinic": "secret"}}
UNPIPELINED: dict[str, Any] = {"extensions": EXTENSIONS[1:]}
GMAIL: dict[str, Any] = {"server": {"users": {"clinic@gmail.com": "secret"}}, "upstream": {"type": "gmail"}}
SES: dict[str, Any] = {"server": LOGIN, "upstream": {"type": "ses"}}


@dataclass(frozen=True, slots=True)
class Row:
    """One fault: the `answers` at `stage`, each once, or `talk` on the first connection; afterwards all is well.

    `states` of the recipients at the end; `events` of the trace, each word once; `reply` is how the first in the trace
    begins that tells of no success, or else the last one; `taken` and `notices` count what the upstream took over.
    `earlier` is the recipient of a message sent and ended before. `server` and `upstream` are settings of theirs.
    """

    what: str
    stage: str = ""
    answers: Reaction | tuple[Reaction, ...] = ()
    states: str = "relayed"
    events: str = "deferred relayed"
    reply: str = ""
    taken: int = 1
    notices: int = 0
    also: dict[str, Reaction] = field(default_factory=dict)
    talk: Talk | None = None
    to: tuple[str, ...] = ("a@far.test",)
    earlier: str = ""
    content: bytes = MESSAGE
    server: dict[str, Any] = field(default_factory=dict)
    upstream: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The row's name, its upstream's and its client's."""
        return "".join(one if one.isalnum() else "-" for one in f"{self.stage} {self.what}".strip().casefold())


def nobodys(stage: str, **server: Any) -> list[Row]:
    """The connection's fault: tried again, relayed once."""
    return [
        Row("4yz", stage, "451 4.3.0 Later", reply="451 4.3.0 Later", server=server),
        Row("421 and closed", stage, Answer("421 4.3.2 Closing", close=True), reply="421 4.3.2", server=server),
        Row("closed", stage, CLOSED, reply="451 4.4.2", server=server),
        Row("reset", stage, RESET, reply="451 4.4.2", server=server),
        Row("garbled", stage, GARBLED, reply="451 4.5.0", server=server),
        Row("binary", stage, BINARY, reply="451 4.5.0", server=server),
        Row("half a reply", stage, Answer("250-half", close=True), reply="451 4.4.2", server=server),
        Row("half a code", stage, Answer("25", close=True), reply="451 4.5.0", server=server),
        Row("10 MB of lines", stage, ENDLESS, reply="451 4.5.0", server=server),
        Row("10 MB in a line", stage, ONE_LINE, reply="451 4.5.0", server=server),
        Row("control characters", stage, CONTROL, reply="451 4.3.0 with ?, ?[31m and ? in it", server=server),
    ]


def silent(stage: str, **server: Any) -> Row:
    """Nothing is said until the timeout."""
    return Row("silent", stage, SILENT, reply="451 4.4.2", server=server, upstream={"timeout": "1s"})


def slow(stage: str, code: str, **server: Any) -> Row:
    """It takes its time, and is waited for."""
    return Row("slow", stage, Answer(f"{code} 2.0.0 At last", delay=0.5), events="relayed", server=server)


def refused(stage: str, reply: str) -> Row:
    """The message's fault."""
    return Row("5yz", stage, reply, "failed", "failed", reply, taken=0, notices=1)


def held(stage: str, reply: str, said: str = "", **more: Any) -> Row:
    """The account's fault: nothing bounces, and the upstream opens again by itself."""
    return Row(f"account's fault {reply[:9]}", stage, reply, reply=said or reply, **more)


def uncertain(what: str, answer: Answer, taken: int = 1, **more: Any) -> Row:
    """No answer after the final dot: once more. Taken twice where the server thought that it had answered."""
    said = "451 4.4.2 No answer after the final dot"
    return Row(what, "BODY", answer, events="uncertain relayed", reply=said, taken=taken, **more)


def never(what: str, reply: str, **more: Any) -> Row:
    """Wrong for as long as nobody mends it: the message waits."""
    return Row(what, states="queued", events="deferred", reply=reply, taken=0, **more)


def partial(what: str, states: str, events: str, taken: int, **more: Any) -> Row:
    """Three recipients: the first is accepted, the second unknown, the third busy."""
    replies = ("250 2.1.5 Ok", "550 5.1.1 Unknown", "450 4.2.1 Busy")
    to = ("fine@far.test", "gone@far.test", "busy@far.test")
    return Row(what, "RCPT", replies, states, events, taken=taken, notices=1, to=to, **more)


async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close in the middle of the content."""
    await reader.read(1 << 16)
    writer.transport.abort()
    raise ConnectionResetError


_UNVERIFIED = (
    "554 Message rejected: Email address is not verified. The following identities failed the check in region X: "
)

ROWS = [
    *nobodys("CONNECT"),
    silent("CONNECT"),
    slow("CONNECT", "220"),
    Row("5yz", "CONNECT", "554 5.3.2 No service", reply="554 5.3.2 No service"),
    Row("a web server", "CONNECT", Answer("HTTP/1.1 400 Bad Request", close=True), reply="451 4.5.0"),
    *nobodys("EHLO"),
    silent("EHLO"),
    slow("EHLO", "250"),
    Row("5yz", "EHLO", "554 5.7.1 Not you", reply="554 5.7.1 Not you"),
    Row("unknown, HELO known", "EHLO", "502 5.5.1 What?", events="relayed"),
    # STARTTLS
    *nobodys("STARTTLS", **SECURE),
    silent("STARTTLS", **SECURE),
    slow("STARTTLS", "220", **SECURE),
    Row("5yz", "STARTTLS", "554 5.7.0 Never", reply="554 5.7.0 Never", server=SECURE),
    never("starttls not offered", "454 4.7.4", upstream={"security": "starttls"}),
    never("certificate of a stranger", "454 4.7.5", server=SECURE | {"leaf": "stranger"}),
    never("certificate for another name", "454 4.7.5", server=SECURE | {"leaf": "other"}),
    never("certificate expired", "454 4.7.5", server=SECURE | {"leaf": "expired"}),
    Row("no handshake", talk=up_to(b"STARTTLS", b"220 go\r\n", b"STARTTLS", then=cut_off), reply="4", server=SECURE),
    Row(
        "silent handshake",
        talk=up_to(b"STARTTLS", b"220 go\r\n", b"STARTTLS"),
        reply="451 4.4.2",
        server=SECURE,
        upstream={"timeout": "1s"},
    ),
    Row(
        "clear text behind 220",
        talk=up_to(b"STARTTLS", b"220 go\r\n250 injected\r\n", b"STARTTLS"),
        reply="451 4.5.0",
        server=SECURE,
    ),
    # AUTH
    *nobodys("AUTH", **LOGIN),
    silent("AUTH", **LOGIN),
    slow("AUTH", "235", **LOGIN),
    held("AUTH", "535 5.7.8 Wrong", server=LOGIN),
    held("AUTH", "550 5.7.30 Basic authentication is not supported", server=LOGIN),
    never("auth not offered", "454 4.7.4", upstream={"username": "clinic", "password": {"env": "PASSWORD"}}),
    # MAIL
    *nobodys("MAIL"),
    silent("MAIL", **UNPIPELINED),
    slow("MAIL", "250"),
    refused("MAIL", "550 5.7.1 Rejected"),
    held("MAIL", "530 5.7.0 Authentication required"),
    Row("garbled 354", "MAIL", "354 Go on", reply="451 4.5.0", server=UNPIPELINED),
    Row(
        "sender not allowed",
        "MAIL",
        "553 5.7.1 Sender address rejected: not owned by user clinic",
        "held",
        "held",
        "553 5.7.1 Sender",
        0,
    ),
    # RCPT
    *nobodys("RCPT"),
    silent("RCPT", **UNPIPELINED),
    slow("RCPT", "250"),
    refused("RCPT", "550 5.1.1 Unknown"),
    Row("552 is too many", "RCPT", "552 5.5.3 Too many", reply="552 5.5.3 Too many"),
    Row("552 of old servers", "RCPT", "552 Too much", reply="552 Too much"),
    Row("refused, DATA allowed", "RCPT", "550 5.1.1 No", "failed", "failed", "550 5.1.1", 0, 1, {"DATA": "354 Go on"}),
    partial("three answers", "relayed failed relayed", "relayed failed deferred", 2, reply="550 5.1.1"),
    partial(
        "three answers, then 4yz", "relayed failed relayed", "deferred failed relayed", 1, also={"BODY": "451 4.3.0 No"}
    ),
    partial(
        "three answers, then 5yz", "failed failed relayed", "failed deferred relayed", 1, also={"BODY": "554 5.6.0 No"}
    ),
    partial(
        "three answers, then closed",
        "relayed failed relayed",
        "uncertain failed deferred relayed",
        2,
        also={"BODY": CLOSED},
    ),
    partial(
        "three answers, DATA 4yz", "relayed failed relayed", "deferred failed relayed", 1, also={"DATA": "451 4.3.0 No"}
    ),
    # DATA
    *nobodys("DATA"),
    silent("DATA"),
    slow("DATA", "354"),
    refused("DATA", "554 5.7.1 Rejected"),
    Row("250 instead of 354", "DATA", "250 2.0.0 Ok", reply="451 4.5.0"),
    Row("all replies at once, late", talk=silent_until_data, events="relayed", reply="250 2.0.0 Ok: merged", taken=0),
    # the content
    Row("closed in the middle", talk=up_to(b"DATA", b"354 go\r\n", then=cut_off), reply="451 4.4.2", content=LARGE),
    Row("250 before the dot", talk=up_to(b"DATA", b"354 go\r\n250 2.0.0 Early\r\n"), reply="451 4.5.0"),
    Row("250 long before the dot", talk=up_to(b"DATA", b"354 go\r\n250 Early\r\n"), reply="451 4.5.0", content=LARGE),
    Row("421 before the dot", talk=up_to(b"DATA", b"354 go\r\n421 4.3.2 Bye\r\n"), reply="421 4.3.2", content=LARGE),
    Row(
        "552 before the dot",
        "",
        (),
        "failed",
        "failed",
        "552 5.3.4",
        0,
        1,
        talk=up_to(b"DATA", b"354 go\r\n552 5.3.4 Too large\r\n"),
        content=LARGE,
    ),
    # the final dot
    Row("4yz", "BODY", "451 4.3.0 Later", reply="451 4.3.0 Later"),
    Row("421 and closed", "BODY", Answer("421 4.3.2 Closing", close=True), reply="421 4.3.2"),
    refused("BODY", "554 5.7.1 Rejected"),
    slow("BODY", "250"),
    uncertain("closed", CLOSED),
    uncertain("reset", RESET),
    uncertain("garbled", GARBLED),
    uncertain("binary", BINARY),
    uncertain("354 again", Answer("354 Go on")),
    uncertain("half a reply", Answer("250-half", close=True), taken=2),
    uncertain("10 MB of lines", ENDLESS, taken=2),
    uncertain("10 MB in a line", ONE_LINE, taken=2),
    uncertain("silent", SILENT, upstream={"timeout": "400ms"}),
    Row("two replies", "BODY", "250 2.0.0 Ok\n250 2.0.0 Once more", events="relayed"),
    # between two messages
    Row("closed while idle", "BODY", Answer("250 Ok", close=True), events="relayed", taken=2, earlier="b@far.test"),
    Row("421 while idle", "BODY", "250 Ok\n421 4.4.2 Idle", events="relayed", taken=2, earlier="b@far.test"),
    *(
        Row(
            f"{answer[:3]} after a refusal",
            "RSET",
            answer,
            events="relayed",
            notices=1,
            also={"RCPT": "550 5.1.1 Unknown"},
            earlier="gone@far.test",
        )
        for answer in ("502 5.5.1 What?", "451 4.3.0 Later", "421 4.3.2 Bye")
    ),
    # as the providers say it
    held("AUTH", "534-5.7.9 Application-specific password required.\n534 5.7.9  https://g.co", "534 5.7.9", **GMAIL),
    held("MAIL", "550-5.4.5 Daily user sending limit\n550 5.4.5 exceeded. x - gsmtp", "550 5.4.5 Daily", **GMAIL),
    held("BODY", "454 Throttling failure: Daily message quota exceeded.", **SES),
    held("BODY", "554 Access denied: User is not authorized to perform ses:SendRawEmail", **SES),
    Row("unverified sender", "BODY", _UNVERIFIED + SENDER, "held", "held", "554 Message rejected", 0, **SES),
    Row(
        "unverified recipient",
        "BODY",
        _UNVERIFIED + "gone@far.test",
        "relayed failed",
        "deferred failed relayed",
        "554 Message rejected",
        notices=1,
        to=("fine@far.test", "gone@far.test"),
        **SES,
    ),
]

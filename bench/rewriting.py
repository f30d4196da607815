"""What another face costs: CPU of one message of 4 KiB, of text and HTML, on its way to the upstream."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median

from bench.figures import percentile
from relay.address import Mailbox
from relay.config.settings import Settings
from relay.envelope import Envelope, Origin, Recipient, WholeContent
from relay.spool.records import Priority, SpooledMessage
from relay.transfer.faces import Faces
from relay.transfer.presentation import presented

_ROUNDS = 2000
_WARMING = 200
_LOOKS = 1000
_SENDER = Mailbox("dr", "north.test")
_DISCLAIMER = "This message is confidential – for the person only to whom it is addressed.\nClinic, 1 High Street"


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds a message: median and 99th percentile."""

    what: str
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class RewritingFigures:
    """`octets` of the message; `looking` is what every message costs that needs no face, in seconds."""

    octets: int
    looking: float
    costs: tuple[Cost, ...]


def measure_rewriting() -> RewritingFigures:
    """The four ways in turn."""
    content = WholeContent(_message())
    envelope = Envelope(_SENDER, (Recipient(Mailbox("patient", "example.test")),))
    clients = {
        "From, Sender, Reply-To and reverse-path rewritten": {"sender_policy": "rewrite"},
        "a disclaimer, in text and HTML": {"sender_policy": "keep", "disclaimer_text": _DISCLAIMER},
        "both": {"sender_policy": "rewrite", "disclaimer_text": _DISCLAIMER},
    }
    costs = tuple(_cost(what, _faces(keys), envelope, content) for what, keys in clients.items())
    return RewritingFigures(content.size, _looking(_faces({"sender_policy": "keep"})), costs)


def _cost(what: str, faces: Faces, envelope: Envelope, content: WholeContent) -> Cost:
    face = faces.face_of(_spooled(content), "gmail")
    if face is None:
        raise RuntimeError(f"{what}: nothing would be done")

    async def rounds() -> list[float]:
        seconds = []
        for _ in range(_ROUNDS + _WARMING):
            began = time.process_time_ns()
            found = await presented(envelope, content, face)
            seconds.append((time.process_time_ns() - began) / 1e9)
            if found.content is content:
                raise RuntimeError(f"{what}: nothing was done")
        return seconds[_WARMING:]

    seconds = asyncio.run(rounds())
    return Cost(what, median(seconds), percentile(sorted(seconds), 99))


def _looking(faces: Faces) -> float:
    message = _spooled(WholeContent(b""))
    seconds = []
    for _ in range(_WARMING):
        began = time.process_time_ns()
        for _ in range(_LOOKS):
            faces.face_of(message, "gmail")
        seconds.append((time.process_time_ns() - began) / 1e9 / _LOOKS)
    return median(seconds)


def _faces(client: dict[str, str]) -> Faces:
    upstream = {"type": "gmail", "username": "no-reply@clinic.test", "app_password": {"env": "P"}}
    given = {"username": "app", "password": {"env": "P"}, "upstream": "gmail", **client}
    return Faces(Settings.model_validate({"client": {"app": given}, "upstream": {"gmail": upstream}}))


def _spooled(content: WholeContent) -> SpooledMessage:
    return SpooledMessage(
        id="1",
        origin=Origin("submission", "app", "10.1.2.3", "app"),
        reverse_path=_SENDER,
        body=Envelope(None, ()).body,
        smtputf8=False,
        envelope_id=None,
        dsn_return=None,
        header_from=str(_SENDER),
        message_id="<1@north.test>",
        size=content.size,
        eight_bit=False,
        priority=Priority.NORMAL,
        accepted_at=0,
    )


def _message() -> bytes:
    head = [
        "Received: from app.clinic.test ([10.1.2.3])",
        "\tby relay.clinic.test with ESMTPSA id 06H06LP85O00M6PI",
        "\t(client app; TLSv1.3); Mon, 02 Mar 2026 09:30:00 +0000",
        f"From: =?utf-8?q?Dr_=C3=85str=C3=B6m?= <{_SENDER}>",
        "Sender: <secretary@north.test>",
        "To: <patient@example.test>",
        "Subject: Your appointment",
        "Message-ID: <1@north.test>",
        "Date: Mon, 02 Mar 2026 09:30:00 +0000",
        "MIME-Version: 1.0",
        'Content-Type: multipart/alternative; boundary="=_alternatives"',
        "",
    ]
    line = "Please bring your card and the letter of your doctor to the desk."
    plain = ["--=_alternatives", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", ""]
    page = ["--=_alternatives", "Content-Type: text/html; charset=utf-8"]
    page += ["Content-Transfer-Encoding: quoted-printable", "", "<html><body>"]
    page += [f"<p>{line}</p>" for _ in range(28)] + ["</body></html>"]
    lines = [*head, *plain, *[line] * 18, *page, "--=_alternatives--", ""]
    return "\r\n".join(lines).encode()

"""By which upstream a notice goes, what it returns of the message, and xtext."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.config.settings import Settings
from relay.envelope import WHOLE, WholeContent
from relay.spool.contract import SpoolError
from relay.transfer.bounce import Original
from relay.transfer.postmaster import original_of
from relay.transfer.route import Route, route_for
from relay.transfer.xtext import unitext_decoded, xtext_decoded
from tests.unit.transfer.made import mailbox

SETTINGS = Settings.model_validate(
    {
        "hostname": "relay.clinic.test",
        "state_dir": str(Path("/nowhere")),
        "upstream": {
            "m365": {
                "type": "microsoft365",
                "mailbox": "no-reply@clinic.test",
                "tenant": "11111111-2222-3333-4444-555555555555",
                "client_id": "66666666-7777-8888-9999-000000000000",
                "client_secret": {"env": "X"},
            },
            "gmail": {"type": "gmail", "username": "clinic@gmail.com", "app_password": {"env": "X"}},
            "ses": {"type": "ses", "region": "eu-west-1", "username": "AKIA", "password": {"env": "X"}},
            "isp": {"type": "smtp", "host": "mail.isp.test"},
            "known": {"type": "smtp", "host": "mail.isp.test", "username": "clinic@isp.test", "password": {"env": "X"}},
            "basic": {"type": "smtp", "host": "smtp.office365.com", "username": "no-reply@clinic.test"}
            | {"password": {"env": "X"}},
            "connector": {"type": "smtp", "host": "clinic-test.mail.protection.outlook.com"},
            "amazon": {"type": "smtp", "host": "email-smtp.eu-west-1.amazonaws.com", "username": "AKIA"}
            | {"password": {"env": "X"}},
        },
    }
)
DAEMON = mailbox("MAILER-DAEMON@relay.clinic.test")
NO_REPLY, GMAIL, APP = mailbox("no-reply@clinic.test"), mailbox("clinic@gmail.com"), mailbox("app@clinic.test")


@pytest.mark.parametrize(
    ("wanted", "down", "route"),
    [
        (["isp"], [], Route(("isp",), None, DAEMON)),
        (["m365"], [], Route(("m365",), NO_REPLY, NO_REPLY)),
        (["gmail"], [], Route(("gmail",), GMAIL, GMAIL)),
        (["ses"], [], Route(("ses",), APP, APP)),
        (["known"], [], Route(("known",), None, DAEMON)),
        (["basic"], [], Route(("basic",), NO_REPLY, NO_REPLY)),
        (["connector"], [], Route(("connector",), None, DAEMON)),
        (["amazon"], [], Route(("amazon",), APP, APP)),
        (["m365", "m365", "isp"], [], Route(("m365", "isp"), NO_REPLY, NO_REPLY)),
        (["m365", "isp"], ["m365"], Route(("isp", "m365"), None, DAEMON)),
        (["m365", "isp"], ["m365", "isp"], Route(("m365", "isp"), NO_REPLY, NO_REPLY)),
        (["removed", None, "isp"], [], Route(("isp",), None, DAEMON)),
        (["removed", None], [], None),
    ],
)
def test_roads(wanted: list[str | None], down: list[str], route: Route | None) -> None:
    assert route_for(SETTINGS, wanted, lambda name: name not in down, APP) == route


def test_ses_without_an_address_that_it_knows() -> None:
    assert route_for(SETTINGS, ["ses"], lambda _: True, None) == Route(("ses",), None, DAEMON)


class _Pieces:
    """Content in pieces as given."""

    def __init__(self, *pieces: bytes, size: int | None = None) -> None:
        self._pieces = pieces
        self.size = sum(map(len, pieces)) if size is None else size
        self.eight_bit = False
        self.read = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.read += 1
            yield piece


class _Broken(_Pieces):
    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"From: a"
        raise SpoolError("no such chunk")


HEADER = b"From: a@b.test\r\nSubject: x\r\n"


async def test_the_header_of_a_message() -> None:
    assert await original_of(WholeContent(HEADER + b"\r\nbody\r\n"), full=False) == Original(HEADER)
    assert await original_of(WholeContent(HEADER), full=False) == Original(HEADER)


async def test_the_header_over_pieces_is_found_and_no_more_is_read() -> None:
    content = _Pieces(HEADER[:5], HEADER[5:-1], HEADER[-1:] + b"\r\nbody", b"more body")
    assert await original_of(content, full=False) == Original(HEADER)
    assert content.read == 3


async def test_all_of_a_message_unless_it_is_large() -> None:
    content = _Pieces(HEADER, b"\r\nbody\r\n")
    assert await original_of(content, full=True) == Original(HEADER + b"\r\nbody\r\n", whole=True)
    large = _Pieces(HEADER, b"\r\nbody\r\n", size=WHOLE + 1)
    assert await original_of(large, full=True) == Original(HEADER)


async def test_a_header_without_end_is_cut() -> None:
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    found = await original_of(WholeContent(line * 1000), full=False)
    assert 255 * 1024 <= len(found.octets) <= 256 * 1024
    assert found.octets.endswith(b"\r\n")


async def test_content_that_cannot_be_read_leaves_a_notice_without_it() -> None:
    assert await original_of(_Broken(), full=True) == Original(b"")


@pytest.mark.parametrize(
    ("xtext", "text"),
    [("plain", "plain"), ("a+2Bb", "a+b"), ("+C3+A4", "ä"), ("+E4", "ä"), ("50+", "50+"), ("+2b", "+2b")],
)
def test_xtext(xtext: str, text: str) -> None:
    assert xtext_decoded(xtext) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [(r"a\x{E4}", "aä"), (r"\x{1F600}", "😀"), (r"\x{D800}", r"\x{D800}"), (r"\x{110000}", r"\x{110000}")],
)
def test_unitext(written: str, text: str) -> None:
    assert unitext_decoded(written) == text

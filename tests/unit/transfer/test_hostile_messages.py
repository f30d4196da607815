"""Messages that were made to keep us busy: each is done within a moment."""

import time

import pytest

from relay.address import Mailbox
from relay.transfer.disclaimer import disclaimer_of
from relay.transfer.disclaiming import Walk
from relay.transfer.rewriting import Face, rewritten

ACCOUNT = Mailbox("no-reply", "clinic.test")
FACE = Face("m365", "rewrite", ACCOUNT, frozenset({ACCOUNT.key}))
LENGTH = 250_000
MOMENT = 20.0
"""Seconds on a machine that does much else; what grows with the square of the length takes minutes."""


@pytest.mark.parametrize("unit", [
    b'\\"', b'"', b"(", b"<", b"@", b"a", b"a@b.test,", b"=?utf-8?q?a?= ", b"=?", b"\r\n ", b",", b":;", b'"a" ',
    b"\xff", b"a ",    b"a@", b"<a@b.test>", b"\\",
])  # fmt: skip
def test_authors(unit: bytes) -> None:
    value = (unit * (LENGTH // len(unit))).rstrip(b"\r\n ") + b" <dr@north.test>"
    began = time.process_time()
    found = rewritten(b"From: " + value + b"\r\nReply-To: " + value + b"\r\nSender: " + value + b"\r\n", None, FACE)
    assert time.process_time() - began < MOMENT
    assert found.header.startswith(b"From:")
    assert len(found.header) < 4 * LENGTH


def _nested(count: int) -> bytes:
    opened = [b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (at, at) for at in range(count)]
    return b"".join(opened) + b"\r\nHello\r\n"


def _beside(count: int) -> bytes:
    inner = [b"--b\r\nContent-Type: multipart/mixed; boundary=c%d\r\n\r\n--c%d--\r\n" % (at, at) for at in range(count)]
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(inner) + b"--b--\r\n"


HTML = b"Content-Type: text/html\r\n\r\nconfidential "
WORST = {
    "nested": _nested(10_000),
    "beside each other": _beside(10_000),
    "tags": HTML + b"<" * LENGTH,
    "styles": HTML + b"<style>" * (LENGTH // 7),
    "comments": HTML + b"<!--" * (LENGTH // 4),
    "ends": HTML + b"</body " * (LENGTH // 7),
    "entities": HTML + b"&amp" * (LENGTH // 4),
    "quotations": b"\r\nconfidential " + b"> " * (LENGTH // 2),
    "parameters": b"Content-Type: text/plain" + b'; a="\\"' * (LENGTH // 8) + b"\r\n\r\nconfidential\r\n",
    "comments in a field": b"Content-Type: text/plain" + b'("\\"' * (LENGTH // 4) + b"\r\n\r\nconfidential\r\n",
    "hyphens": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b" * (LENGTH // 3),
    "boundaries": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * (LENGTH // 5),
    "a long boundary": b"Content-Type: multipart/mixed; boundary=" + b"b" * LENGTH + b"\r\n\r\n" + b"--b\r\n" * 1000,
    "quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * (LENGTH // 3),
    "base64": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QQ==\r\n" * (LENGTH // 6),
}


@pytest.mark.parametrize("title", WORST)
def test_bodies(title: str) -> None:
    disclaimer = disclaimer_of("This is confidential.", None)
    assert disclaimer is not None
    began = time.process_time()
    walk = Walk(disclaimer)
    said = walk.feed(WORST[title]) + walk.finish()
    assert time.process_time() - began < MOMENT
    assert walk.changed or said == WORST[title]

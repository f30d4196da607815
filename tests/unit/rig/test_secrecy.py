"""A search that finds nothing proves something only where it finds what is there."""

import base64
import json
import urllib.parse

import pytest

from tests.rig.secrecy import found_in

SECRET = 'Gehe"im \\ü%/+=&x'
LONG = "".join(chr(65 + at * 7 % 26) for at in range(500))


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "\0clinic\0", "user=a@b.test\1auth=Bearer "])
@pytest.mark.parametrize("after", ["", "z", "\1\1"])
def test_base64_at_any_place(before: str, after: str) -> None:
    text = f"{before}{SECRET}{after}".encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert found_in({"log": b"x " + encode(text) + b" y"}, {"password": SECRET})


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        urllib.parse.quote(SECRET),
        urllib.parse.urlencode({"client_secret": SECRET}),
        json.dumps({"password": SECRET}),
        json.dumps({"password": SECRET}, ensure_ascii=False),
        repr(SECRET),
        SECRET.encode().hex(),
    ],
)
def test_other_forms(written: str) -> None:
    [found, *_] = found_in({"log": b"x", "trace": f"<{written}>".encode()}, {"password": SECRET})
    assert found.startswith("password (")
    assert found.endswith("in trace")


@pytest.mark.parametrize("part", [LONG[:80], LONG[-30:], LONG[200:330]])
def test_a_part_of_a_long_secret(part: str) -> None:
    assert found_in({"log": part.encode()}, {"token": LONG})


def test_nothing() -> None:
    assert found_in({"log": b"Authentication unsuccessful", "state": bytes(100)}, {"password": SECRET}) == []

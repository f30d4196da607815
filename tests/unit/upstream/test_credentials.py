"""Which mechanism is used, and when a token is renewed."""

import pytest

from relay.reply import parse_reply
from relay.upstream.credentials import (
    BearerToken,
    Credential,
    Password,
    mechanism_for,
    needs_renewal,
    oauthbearer_response,
)
from relay.upstream.google import app_password

PASSWORD = Password("clinic", "secret-word")
TOKEN = BearerToken("no-reply@clinic.test", "eyJ0-token")


@pytest.mark.parametrize(
    ("setting", "credential", "offered", "mechanism"),
    [
        ("auto", PASSWORD, ("PLAIN", "LOGIN", "CRAM-MD5"), "CRAM-MD5"),
        ("auto", PASSWORD, ("LOGIN", "PLAIN"), "PLAIN"),
        ("auto", PASSWORD, ("LOGIN", "XOAUTH2"), "LOGIN"),
        ("auto", PASSWORD, ("XOAUTH2", "NTLM"), None),
        ("auto", PASSWORD, (), None),
        ("plain", PASSWORD, ("LOGIN", "PLAIN", "CRAM-MD5"), "PLAIN"),
        ("login", PASSWORD, ("LOGIN", "PLAIN"), "LOGIN"),
        ("cram-md5", PASSWORD, ("LOGIN", "PLAIN"), None),
        ("auto", TOKEN, ("LOGIN", "XOAUTH2"), "XOAUTH2"),
        ("xoauth2", TOKEN, ("LOGIN", "XOAUTH2"), "XOAUTH2"),
        ("auto", TOKEN, ("LOGIN", "PLAIN"), None),
        ("auto", TOKEN, ("OAUTHBEARER", "XOAUTH2"), "XOAUTH2"),
        ("auto", TOKEN, ("PLAIN", "OAUTHBEARER"), "OAUTHBEARER"),
        ("oauthbearer", TOKEN, ("XOAUTH2", "OAUTHBEARER"), "OAUTHBEARER"),
        ("oauthbearer", TOKEN, ("XOAUTH2",), None),
        ("xoauth2", TOKEN, ("OAUTHBEARER",), None),
    ],
)
def test_mechanism(setting: str, credential: Credential, offered: tuple[str, ...], mechanism: str | None) -> None:
    assert mechanism_for(setting, credential, offered) == mechanism


@pytest.mark.parametrize(
    ("code", "text", "renewal"),
    [
        (535, "5.7.3 Authentication unsuccessful", True),
        (535, "what", True),
        (501, "5.5.127 token about to expire", True),
        (501, "5.5.4 Syntax", False),
        (454, "4.7.0 Temporary", False),
        (504, "5.7.4 Unrecognized authentication type", False),
    ],
)
def test_renewal(code: int, text: str, renewal: bool) -> None:
    assert needs_renewal(parse_reply(code, text, "mail.test")) is renewal


@pytest.mark.parametrize(
    ("username", "name"),
    [("no-reply@clinic.test", "no-reply@clinic.test"), ("a=b,c@clinic.test", "a=3Db=2Cc@clinic.test")],
)
def test_oauthbearer(username: str, name: str) -> None:
    said = oauthbearer_response(BearerToken(username, "eyJ0"), "mail.test", 587)
    assert said == f"n,a={name},\x01host=mail.test\x01port=587\x01auth=Bearer eyJ0\x01\x01".encode()


def test_secrets_are_not_shown() -> None:
    assert "secret-word" not in repr(PASSWORD)
    assert "eyJ0" not in repr(TOKEN)


@pytest.mark.parametrize("shown", ["abcd efgh ijkl mnop", "abcdefghijklmnop", " abcd\u00a0efgh ijkl\tmnop\n"])
def test_app_password(shown: str) -> None:
    assert app_password(shown) == "abcdefghijklmnop"

"""What a server repeats of an AUTH that it refuses is shown to nobody."""

import base64

import pytest

from relay.upstream.echo import without_echo

PASSWORD = "Pass word%1"
PLAIN = base64.b64encode(b"\0clinic\0" + PASSWORD.encode())


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Authentication failed", "Authentication failed"),
        ("clinic: username and password not accepted [ABCDEFGHIJKLMNOP]", None),
        (f"Bad credentials: {PLAIN.decode()}", "Bad credentials: ***"),
        (f"Bad credentials: {PLAIN.decode()[:14]}", "Bad credentials: ***"),
        (f"AUTH PLAIN {PLAIN.decode()} is too long", "AUTH PLAIN *** is too long"),
        (f"<{PASSWORD}> is wrong", "<***> is wrong"),
        (f"{base64.b64encode(PASSWORD.encode()).decode()} is wrong", "*** is wrong"),
    ],
)
def test_what_is_shown(said: str, shown: str | None) -> None:
    assert without_echo(said, PASSWORD, [PLAIN]) == (shown or said)

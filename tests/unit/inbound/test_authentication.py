import hashlib
import hmac

import pytest

from relay.inbound.authentication import Attempt, decoded, exchange

CHALLENGE = b"<1.2@relay.test>"


def digest(password: bytes) -> bytes:
    return hmac.new(password, CHALLENGE, hashlib.md5).hexdigest().encode()


def run(mechanism: str, initial: bytes | None, *responses: bytes) -> tuple[list[bytes], Attempt | None]:
    dialogue = exchange(mechanism, initial, CHALLENGE)
    assert dialogue is not None
    challenges: list[bytes] = []
    try:
        challenge = next(dialogue)
        for response in responses:
            challenges.append(challenge)
            challenge = dialogue.send(response)
    except StopIteration as end:
        attempt: Attempt | None = end.value
        return challenges, attempt
    raise AssertionError(f"waits for more after {challenge!r}")


@pytest.mark.parametrize(("mechanism", "initial", "responses", "challenges"), [
    ("PLAIN", b"\0anna\0word", (), []),
    ("PLAIN", b"anna\0anna\0word", (), []),
    ("PLAIN", None, (b"\0anna\0word",), [b""]),
    ("PLAIN", b"", (b"\0anna\0word",), [b""]),
    ("LOGIN", None, (b"anna", b"word"), [b"Username:", b"Password:"]),
    ("LOGIN", b"anna", (b"word",), [b"Password:"]),
    ("LOGIN", b"", (b"anna", b"word"), [b"Username:", b"Password:"]),
    ("CRAM-MD5", None, (b"anna " + digest(b"word"),), [CHALLENGE]),
    ("CRAM-MD5", b"", (b"anna " + digest(b"word").upper(),), [CHALLENGE]),
])  # fmt: skip
def test_exchanges(
    mechanism: str, initial: bytes | None, responses: tuple[bytes, ...], challenges: list[bytes]
) -> None:
    said, attempt = run(mechanism, initial, *responses)
    assert said == challenges
    assert attempt is not None
    assert attempt.username == "anna"
    assert attempt.proven_by("word")
    assert not attempt.proven_by("wor")
    assert not attempt.proven_by("")
    assert "word" not in repr(attempt)


@pytest.mark.parametrize(("mechanism", "initial", "responses"), [
    ("PLAIN", b"anna\0word", ()),
    ("PLAIN", b"\0anna\0word\0more", ()),
    ("PLAIN", b"\0\0word", ()),
    ("CRAM-MD5", b"anna x", ()),
    ("CRAM-MD5", None, (b"anna",)),
    ("CRAM-MD5", None, (b" 00ff",)),
])  # fmt: skip
def test_malformed(mechanism: str, initial: bytes | None, responses: tuple[bytes, ...]) -> None:
    assert run(mechanism, initial, *responses)[1] is None


def test_a_user_name_with_blanks_in_cram_md5() -> None:
    _, attempt = run("CRAM-MD5", None, b"anna b " + digest(b"word"))
    assert attempt is not None
    assert attempt.username == "anna b"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_passwords_in_the_code_page_of_windows(encoding: str) -> None:
    password = "Grüße€"
    _, attempt = run("PLAIN", None, b"\0anna\0" + password.encode(encoding))
    assert attempt is not None
    assert attempt.proven_by(password)


def test_an_unknown_mechanism() -> None:
    assert exchange("NTLM", None, CHALLENGE) is None


@pytest.mark.parametrize(("response", "octets"), [
    (b"", b""), (b"=", b""), (b"YQ==", b"a"), (b" YQ== \r", b"a"), (b"YQ", None), (b"!!!!", None), (b"YQ==YQ==", None),
])  # fmt: skip
def test_base64(response: bytes, octets: bytes | None) -> None:
    assert decoded(response) == octets


def test_nobody_acts_for_another() -> None:
    _, attempt = run("PLAIN", b"somebody\0anna\0word")
    assert attempt is not None
    assert attempt.username == "anna"
    assert not attempt.proven_by("word")
    assert not attempt.proven_by("")

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from relay.simulator.client_assertion import (
    BAD_SIGNATURE,
    MALFORMED,
    OUT_OF_TIME,
    UNREGISTERED,
    WRONG_AUDIENCE,
    WRONG_ISSUER,
    RegisteredCertificates,
)
from relay.simulator.options import Options
from relay.simulator.tokens import Tokens, decoded, encoded, signed, verified

AUDIENCE = "https://outlook.office365.com"
MAILBOX = "no-reply@clinic.test"


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(Options())


def claims_of(token: str) -> dict[str, object]:
    claims = json.loads(decoded(token.split(".")[1]))
    assert isinstance(claims, dict)
    return claims


def test_an_app_token_opens_a_mailbox(tokens: Tokens) -> None:
    token = tokens.for_app(AUDIENCE)
    assert tokens.opens_mailbox(token, MAILBOX)
    claims = claims_of(token)
    assert claims["aud"] == AUDIENCE
    assert claims["roles"] == ["SMTP.SendAsApp"]
    assert {"iss", "tid", "appid", "exp"} <= claims.keys()


@pytest.mark.parametrize("size", [1000, 3000, 8000])
def test_a_token_is_as_long_as_real_ones(size: int) -> None:
    length = len(Tokens(Options(token_size=size)).for_app(AUDIENCE))
    assert size <= length < size + 1200


@pytest.mark.parametrize(
    ("user", "scope", "opens"),
    [
        (MAILBOX, "SMTP.Send", True),
        (MAILBOX.upper(), "IMAP.AccessAsUser.All SMTP.Send", True),
        ("else@clinic.test", "SMTP.Send", False),
        (MAILBOX, "Mail.Send", False),
    ],
)
def test_a_user_s_token_opens_his_own_mailbox(tokens: Tokens, user: str, scope: str, opens: bool) -> None:
    assert tokens.opens_mailbox(tokens.for_user("https://outlook.office.com", user, scope), MAILBOX) is opens


def test_what_opens_nothing(tokens: Tokens) -> None:
    good = tokens.for_app(AUDIENCE)
    head, body, signature = good.split(".")
    claims = claims_of(good)
    forged = encoded(json.dumps(claims | {"exp": 9_999_999_999}).encode())
    none = encoded(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    for token in (
        "",
        "garbage",
        "a.b.c",
        f"{head}.{body}",
        f"{head}.{forged}.{signature}",
        f"{none}.{body}.",
        good + "A",
        tokens.for_app("https://graph.microsoft.com"),
        signed(claims | {"exp": int(time.time()) - 1}),
        signed(claims | {"tid": "another"}),
        signed(claims | {"roles": []}),
        signed(claims | {"uti": "never issued"}),
    ):
        assert not tokens.opens_mailbox(token, MAILBOX), token
    assert tokens.opens_mailbox(good, MAILBOX)


def test_tokens_expire_when_told(tokens: Tokens) -> None:
    old = tokens.for_app(AUDIENCE)
    assert tokens.expire() == 1
    assert not tokens.opens_mailbox(old, MAILBOX)
    assert tokens.opens_mailbox(tokens.for_app(AUDIENCE), MAILBOX)


def test_tokens_expire_by_themselves() -> None:
    tokens = Tokens(Options(token_lifetime=-1))
    assert verified(tokens.for_app(AUDIENCE)) is None


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    now = datetime.now(UTC)
    return x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(
        key, hashes.SHA256()
    )


@pytest.fixture
def registered(certificate: x509.Certificate) -> RegisteredCertificates:
    registered = RegisteredCertificates()
    registered.register(certificate.public_bytes(serialization.Encoding.PEM))
    return registered


Assert = Callable[..., str]


@pytest.fixture
def assertion(key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> Assert:
    def make(algorithm: str = "PS256", signer: rsa.RSAPrivateKey = key, **changes: object) -> str:
        sha1 = algorithm == "RS256"
        thumbprint = encoded(certificate.fingerprint(hashes.SHA1() if sha1 else hashes.SHA256()))  # noqa: S303
        header = {"alg": algorithm, "typ": "JWT", "x5t" if sha1 else "x5t#S256": thumbprint}
        now = int(time.time())
        claims = {"aud": "https://a.test/token", "iss": "client", "sub": "client", "nbf": now, "exp": now + 600}
        body = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims | changes).encode())}"
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        scheme = padding.PKCS1v15() if sha1 else pss
        return f"{body}.{encoded(signer.sign(body.encode(), scheme, hashes.SHA256()))}"

    return make


def refused(registered: RegisteredCertificates, assertion: str) -> int | None:
    return registered.refuse(assertion, "client", frozenset({"https://a.test/token"}))


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_an_assertion_by_a_registered_certificate_passes(
    registered: RegisteredCertificates, assertion: Assert, algorithm: str
) -> None:
    assert refused(registered, assertion(algorithm)) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": 1}, OUT_OF_TIME),
        ({"nbf": 9_999_999_999, "exp": 9_999_999_999}, OUT_OF_TIME),
        ({"exp": "soon"}, MALFORMED),
        ({"aud": "https://b.test/token"}, WRONG_AUDIENCE),
        ({"iss": "another"}, WRONG_ISSUER),
        ({"sub": "another"}, WRONG_ISSUER),
    ],
)
def test_a_wrong_assertion_is_refused(
    registered: RegisteredCertificates, assertion: Assert, changes: dict[str, object], code: int
) -> None:
    assert refused(registered, assertion(**changes)) == code


def test_an_assertion_by_another_key_is_refused(registered: RegisteredCertificates, assertion: Assert) -> None:
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert refused(registered, assertion(signer=another)) == BAD_SIGNATURE
    assert refused(RegisteredCertificates(), assertion()) == UNREGISTERED
    for garbage in ("", "a.b", "a.b.c", "bnVsbA.bnVsbA.AA"):
        assert refused(registered, garbage) == MALFORMED

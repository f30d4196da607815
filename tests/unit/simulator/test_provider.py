import pytest

from relay.simulator.provider import provider_named, wire

MICROSOFT365 = "SIZE PIPELINING DSN ENHANCEDSTATUSCODES {} 8BITMIME BINARYMIME CHUNKING SMTPUTF8"
GMAIL = "SIZE 8BITMIME {} ENHANCEDSTATUSCODES PIPELINING CHUNKING SMTPUTF8"


@pytest.mark.parametrize(
    ("name", "tls", "keywords"),
    [
        ("microsoft365", False, MICROSOFT365.format("STARTTLS")),
        ("microsoft365", True, MICROSOFT365.format("AUTH")),
        ("gmail", False, GMAIL.format("STARTTLS")),
        ("gmail", True, GMAIL.format("AUTH")),
        ("ses", False, "8BITMIME SIZE STARTTLS AUTH Ok"),
        ("ses", True, "8BITMIME SIZE AUTH Ok"),
    ],
)
def test_what_is_offered(name: str, tls: bool, keywords: str) -> None:
    assert provider_named(name).offered(tls=tls) == set(keywords.split())


@pytest.mark.parametrize(
    ("name", "octets", "recipients", "mechanisms"),
    [
        ("microsoft365", 157_286_400, 500, ("LOGIN", "XOAUTH2")),
        ("gmail", 35_882_577, 100, ("LOGIN", "PLAIN", "XOAUTH2", "PLAIN-CLIENTTOKEN", "OAUTHBEARER")),
        ("ses", 41_943_040, 50, ("PLAIN", "LOGIN")),
    ],
)
def test_the_limits_agree_with_what_is_said(
    name: str, octets: int, recipients: int, mechanisms: tuple[str, ...]
) -> None:
    provider = provider_named(name)
    assert (provider.size, provider.recipients_per_message, provider.mechanisms) == (octets, recipients, mechanisms)
    assert f"SIZE {octets}\n" in provider.ehlo_in_tls
    assert f"AUTH {' '.join(mechanisms)}\n" in provider.ehlo_in_tls


def test_an_extension_can_be_withheld() -> None:
    provider = provider_named("microsoft365").without("SMTPUTF8")
    assert "SMTPUTF8" not in provider.offered(tls=True)
    assert wire(provider.ehlo_in_tls, {"host": "h", "peer": "p"}).endswith(b"\r\n250 CHUNKING\r\n")


def test_a_reply_on_the_wire() -> None:
    assert wire("250 2.0.0 Ok {id}", {"id": 7}) == b"250 2.0.0 Ok 7\r\n"
    assert wire("535-5.7.8 No,\n535 5.7.8 no", {}) == b"535-5.7.8 No,\r\n535 5.7.8 no\r\n"
    assert wire("250-a\n250-b", {}) == b"250-a\r\n250 b\r\n"

import ipaddress

import pytest

from relay.config.endpoint import Address, address_from, network_from


@pytest.mark.parametrize(
    ("text", "host", "port", "bind_host"),
    [
        ("127.0.0.1:2525", "127.0.0.1", 2525, "127.0.0.1"),
        ("[::1]:25", "::1", 25, "::1"),
        ("*:25", "*", 25, None),
        ("localhost:0", "localhost", 0, "localhost"),
        ("mail.practice.test:587", "mail.practice.test", 587, "mail.practice.test"),
    ],
)
def test_addresses(text: str, host: str, port: int, bind_host: str | None) -> None:
    address = address_from(text)
    assert (address.host, address.port, address.bind_host, str(address)) == (host, port, bind_host, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2525", 'write "127.0.0.1:2525" for this machine, or "*:2525" for the network'),
        ("::1:25", "an IPv6 address stands in brackets"),
        ("[::g]:25", "is not HOST:PORT"),
        ("[1:2]:25", "is not an IPv6 address"),
        ("127.0.0.256:25", "is not an IPv4 address"),
        ("127.1:25", "is not an IPv4 address"),
        ("a:65536", "port 65536 does not exist"),
        ("a:", "is not HOST:PORT"),
        ("a b:25", "is not HOST:PORT"),
        ("http://a:25", "is not HOST:PORT"),
    ],
)
def test_what_is_no_address(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="; ") as caught:
        address_from(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("127.0.0.1:25", "127.0.0.1:25", True),
        ("127.0.0.1:25", "127.0.0.1:26", False),
        ("127.0.0.1:25", "127.0.0.2:25", False),
        ("*:25", "127.0.0.1:25", True),
        ("0.0.0.0:25", "127.0.0.1:25", True),
        ("[::]:25", "[::1]:25", True),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("LOCALHOST:25", "localhost:25", True),
    ],
)
def test_which_addresses_cannot_both_be_open(one: str, other: str, overlap: bool) -> None:
    assert address_from(one).overlaps(address_from(other)) is overlap
    assert address_from(other).overlaps(address_from(one)) is overlap


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.20.30.0/24", "10.20.30.0/24"),
        ("10.20.30.7", "10.20.30.7/32"),
        ("fd00::/8", "fd00::/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_networks(text: str, network: str) -> None:
    assert network_from(text) == ipaddress.ip_network(network)


def test_an_address_says_itself_as_it_is_written() -> None:
    assert f"{Address('::1', 25)}" == "[::1]:25"

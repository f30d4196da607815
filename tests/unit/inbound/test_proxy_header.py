import ipaddress
import struct

import pytest

from relay.inbound.clients import IPAddress
from relay.inbound.proxy_header import proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
INET = bytes([10, 9, 8, 7, 10, 0, 0, 1, 1, 2, 0, 25])
INET6 = ipaddress.IPv6Address("2001:db8::7").packed + ipaddress.IPv6Address("2001:db8::1").packed + bytes(4)


def version2(first: int, second: int, rest: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + bytes([first, second]) + struct.pack(">H", len(rest) if length is None else length) + rest


def read(octets: bytes) -> tuple[IPAddress | None, bytes]:
    """What is said, and what was not touched."""
    header = proxy_header()
    wanted = next(header)
    position = 0
    try:
        while True:
            assert position + wanted <= len(octets), "wants more"
            piece = octets[position : position + wanted]
            position += wanted
            wanted = header.send(piece)
    except StopIteration as end:
        found: IPAddress | None = end.value
        return found, octets[position:]


@pytest.mark.parametrize(("octets", "address"), [
    (b"PROXY TCP4 10.9.8.7 10.0.0.1 51234 25\r\n", "10.9.8.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 25\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:10.9.8.7 ::1 51234 25\r\n", "10.9.8.7"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (version2(0x21, 0x11, INET), "10.9.8.7"),
    (version2(0x21, 0x11, INET + b"\x04\0\x03abc"), "10.9.8.7"),
    (version2(0x21, 0x21, INET6), "2001:db8::7"),
    (version2(0x20, 0x00, b""), None),
    (version2(0x20, 0x11, INET), None),
    (version2(0x21, 0x00, b""), None),
    (version2(0x21, 0x31, bytes(216)), None),
])  # fmt: skip
def test_read_exactly(octets: bytes, address: str | None) -> None:
    client_hello = b"\x16\x03\x01\r\n"
    found, rest = read(octets + client_hello)
    assert (str(found) if found else None) == address
    assert rest == client_hello


@pytest.mark.parametrize("octets", [
    b"EHLO pc\r\nMAIL FROM:<a@b.test>\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00",
    b"PROXY TCP4 10.9.8.7 10.0.0.1 51234\r\n",
    b"PROXY TCP4 10.9.8.7 10.0.0.1 51234 25 x\r\n",
    b"PROXY TCP4 10.9.8.7 10.0.0.1 70000 25\r\n",
    b"PROXY TCP4 10.9.8.7 10.0.0.1 -1 25\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n",
    b"PROXY TCP4 10.9.8 10.0.0.1 51234 25\r\n",
    b"PROXY UDP4 10.9.8.7 10.0.0.1 51234 25\r\n",
    b"PROXY  TCP4 10.9.8.7 10.0.0.1 51234 25\r\n",
    b"PROXY " + b"x" * 200,
    version2(0x11, 0x11, INET),
    version2(0x22, 0x11, INET),
    version2(0x21, 0x12, INET),
    version2(0x21, 0x11, INET[:8]),
    version2(0x21, 0x41, INET),
    version2(0x21, 0x11, INET, length=65535),
])  # fmt: skip
def test_no_header(octets: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, the connection is closed
        read(octets)

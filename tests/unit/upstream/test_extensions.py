"""What a reply to EHLO tells."""

from __future__ import annotations

import pytest

from relay.reply import parse_reply
from relay.upstream.extensions import Extensions


@pytest.mark.parametrize(
    ("lines", "masked"),
    [
        ("mail.isp.test\nSIZE 35882577\nXXXXXXXA\nXXXB", True),
        ("mail.isp.test\nSIZE 35882577\nSTARTTLS", False),
        ("mail.isp.test\nXCLIENT NAME ADDR\nXEXCH50\nXX", False),
    ],
)
def test_keywords_that_a_firewall_has_overwritten(lines: str, masked: bool) -> None:
    assert Extensions.of(parse_reply(250, lines, "mail.isp.test")).masked is masked

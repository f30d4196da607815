"""Refusals that speak of long lines."""

import pytest

from relay.reply import parse_reply
from relay.upstream.long_lines import speaks_of_long_lines


@pytest.mark.parametrize(
    ("code", "text", "found"),
    [
        (500, "Line too long", True),
        (500, "5.5.2 Error: line too long", True),
        (552, "5.6.0 Message contains a line of length 1500 over the limit", True),
        (554, "5.6.0 maximum allowed line length is 998 octets, got 1500", True),
        (550, "5.7.1 message has overlong lines", True),
        (451, "Line too long", False),
        (552, "5.3.4 Message too long", False),
        (550, "5.7.1 Deadline too near for this headline", False),
        (250, "line too long, but taken", False),
    ],
)
def test_table(code: int, text: str, found: bool) -> None:
    assert speaks_of_long_lines(parse_reply(code, text, "mail.test")) is found

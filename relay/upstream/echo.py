"""A server's answer to AUTH without what it repeats of it: some quote the line that they refuse."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import replace

from relay.reply import Reply

_RUN = re.compile(r"[A-Za-z0-9+/=_.~-]{8,}")
_MASK = "***"


def without_echo(text: str, secret: str, responses: Iterable[bytes]) -> str:
    """Return a text without the secret, and without any part of eight or more octets of the responses to AUTH."""
    sent = [secret, base64.b64encode(secret.encode("utf-8")).decode("ascii")]
    sent += [response.decode("utf-8", "replace") for response in responses]
    for each in filter(None, sent):
        text = text.replace(each, _MASK)
    return _RUN.sub(lambda found: _MASK if any(found[0] in each for each in sent) else found[0], text)


def reply_without_echo(said: Reply, secret: str, responses: Iterable[bytes]) -> Reply:
    """Return the reply with such a text."""
    text = without_echo(said.text, secret, responses)
    return said if text == said.text else replace(said, text=text)

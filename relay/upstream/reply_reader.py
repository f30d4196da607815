"""Reads replies out of the octets that a server sends (RFC 5321 §4.2); pure."""

from __future__ import annotations

from relay.reply import Reply, parse_reply

LINE_LIMIT = 8192
"""Octets of one reply line: RFC 5321 §4.5.3.1.5 says 512, and servers quote whole policies."""

REPLY_LIMIT = 65536
"""Octets of one reply with all its lines; a server that never ends one must not fill our memory."""

TEXT_KEPT = 4096
"""Characters of a reply's text that are kept: it goes into trace, log and notices, and is searched for causes."""

_KNOWN = 32


class ReplyReader:
    """Feed it what comes; it gives whole replies in order, until `garbled` says why what came is not SMTP."""

    def __init__(self, said_by: str) -> None:
        self.garbled: str | None = None
        self._said_by = said_by
        self._rest = b""
        self._lines: list[str] = []
        self._octets = 0
        # A server says the same few lines over and over.
        self._known: dict[bytes, Reply] = {}

    @property
    def between_replies(self) -> bool:
        """True where nothing of a further reply has come."""
        return not self._rest and not self._lines

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that are complete by now, those before garbled octets included."""
        replies: list[Reply] = []
        if self.garbled:
            return replies
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            complete = self._take(line.rstrip(b"\r"))
            if self.garbled:
                return replies
            if complete is not None:
                replies.append(complete)
        if len(self._rest) > LINE_LIMIT:
            self.garbled = "a reply line without end"
        return replies

    def _take(self, line: bytes) -> Reply | None:
        if not self._lines and (known := self._known.get(line)) is not None:
            return known
        self._octets += len(line)
        code, mark = line[:3], line[3:4]
        if len(line) > LINE_LIMIT or self._octets > REPLY_LIMIT:
            self.garbled = "a reply too long"
        elif len(code) < 3 or not code.isdigit() or not b"2" <= code[:1] <= b"5" or mark not in (b"", b" ", b"-"):
            self.garbled = "not a reply"
        if self.garbled:
            return None
        self._lines.append(line[4:].decode("utf-8", "replace").rstrip(" \t"))
        if mark == b"-":
            return None
        said = parse_reply(int(code), "\n".join(self._lines)[:TEXT_KEPT], self._said_by)
        if len(self._lines) == 1:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[line] = said
        self._lines, self._octets = [], 0
        return said

"""What a session needs of its connection: replies out, TLS, and the lines that answer a challenge of AUTH."""

from __future__ import annotations

from typing import Protocol

from relay.reply import Reply


class Disconnected(Exception):  # noqa: N818 - an end, not an error
    """The client is gone, or the connection was closed because it took too long. Never leaves `inbound`."""


class Wire(Protocol):
    """One connection, as `session` and `login` see it."""

    @property
    def tls(self) -> str | None:
        """The version of TLS that is active, like `TLSv1.3`."""
        ...

    @property
    def deserted(self) -> bool:
        """True where the client has gone, as far as can be seen: nothing more of it will come in."""
        ...

    def say(self, reply: Reply) -> None:
        """Send a reply, at the latest when input is waited for."""
        ...

    async def line(self, most: int) -> bytes | None:
        """Return the next line without its end; None when it is longer than `most`, with all of it skipped.

        What was said is sent, and the client's idle time runs. Raises Disconnected.
        """
        ...

    async def start_tls(self) -> bool:
        """Drop what has come in, and become a TLS server; False where the handshake failed and the connection ends."""
        ...

"""What a session needs of its connection: octets in, replies out, TLS, and a clock that runs while it waits."""

from __future__ import annotations

from typing import Protocol

from relay.reply import Reply


class Disconnected(Exception):  # noqa: N818 - an end, not an error
    """The client is gone, or the connection was closed because it took too long. Never leaves `inbound`."""


class Wire(Protocol):
    """One connection, as `session` and `reception` see it."""

    @property
    def tls(self) -> str | None:
        """The version of TLS that is active, like `TLSv1.3`."""
        ...

    @property
    def deserted(self) -> bool:
        """True where the client has gone, as far as can be seen: nothing more of it will come in."""
        ...

    def say(self, reply: Reply) -> None:
        """Send a reply, at the latest when the session waits for input."""
        ...

    async def line(self, most: int) -> bytes | None:
        """Return the next line without its end; None when it is longer than `most`, with all of it skipped.

        Raises Disconnected.
        """
        ...

    def take(self) -> bytes:
        """Return all that has come in; may be empty."""
        ...

    def put_back(self, octets: bytes) -> None:
        """Let `octets` be the next input."""
        ...

    async def more(self) -> None:
        """Send what was said, and wait until more has come in. Raises Disconnected."""
        ...

    def progressed(self) -> None:
        """Start the idle time anew."""
        ...

    def busy(self) -> None:
        """Stop the idle time: the client waits for us."""
        ...

    async def start_tls(self) -> bool:
        """Drop what has come in, and become a TLS server; False where the handshake failed and the connection ends."""
        ...

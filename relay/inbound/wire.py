"""What a session needs of its connection: replies out, and TLS."""

from __future__ import annotations

from typing import Protocol

from relay.reply import Reply


class Wire(Protocol):
    """One connection, as `session` sees it."""

    @property
    def tls(self) -> str | None:
        """The version of TLS that is active, like `TLSv1.3`."""
        ...

    @property
    def deserted(self) -> bool:
        """True where the client has gone, as far as can be seen: nothing more of it will come in."""
        ...

    def say(self, reply: Reply) -> None:
        """Send a reply before `start_tls`."""
        ...

    async def start_tls(self) -> bool:
        """Drop what has come in, and become a TLS server; False where the handshake failed and the connection ends."""
        ...

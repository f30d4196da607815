"""A message's content on its way in: up to 1 MiB it is kept whole, beyond that it goes to the spool as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from relay.envelope import CHUNK, WHOLE
from relay.inbound import admission, replies
from relay.inbound.line_ends import ContentReader
from relay.reply import Reply
from relay.spool.contract import Draft, SpoolError

Refusal: TypeAlias = tuple[Reply, str]
"""A reply, and its reason for the metrics."""


class Reception:
    """Takes the octets between DATA and the final dot, or those of BDAT chunks.

    `complete` is asked once, with the header section, before anything is kept in the spool: it returns the section as
    we pass it on, or a refusal. Once `refusal` is set nothing more is kept, and the rest is only counted off the wire.
    `eight_bit` is known when all was taken: an octet above 127 occurs.
    """

    __slots__ = (
        "_complete",
        "_draft",
        "_held",
        "_most",
        "_new_draft",
        "_pieces",
        "_reader",
        "_threshold",
        "_unstuffed",
        "eight_bit",
        "refusal",
        "size",
    )

    def __init__(
        self,
        max_message_size: int,
        declared_size: int,
        complete: Callable[[bytes], bytes | Refusal],
        new_draft: Callable[[], Draft],
    ) -> None:
        self.refusal: Refusal | None = None
        self.size = 0
        self.eight_bit = False
        self._most = max_message_size
        self._complete = complete
        self._new_draft = new_draft
        self._reader = ContentReader()
        self._pieces: list[bytes | memoryview] = []
        self._held = 0
        self._unstuffed = 0
        self._draft: Draft | None = None
        # Who announces a large message needs not be whole in memory first.
        self._threshold = CHUNK if declared_size > WHOLE else WHOLE

    def add(self, octets: bytes) -> bool:
        """Take the next octets; True when `spill` has to be awaited before more are taken."""
        if self.refusal is not None:
            return False
        self._unstuffed += len(octets)
        if self._unstuffed > self._most:
            self._refuse(replies.TOO_LARGE, "size")
            return False
        before = self._reader.header
        body = self._reader.feed(octets)
        if self._reader.overlong:
            self._refuse(replies.HEADER_TOO_LARGE, "size")
            return False
        if before is None and self._reader.header is not None:
            self._take_header(self._reader.header, body)
        self._take(body)
        return self._held > self._threshold

    async def spill(self) -> None:
        """Hand what is held to the spool."""
        await self._write()

    async def finish(self) -> bytes | Draft | None:
        """Return the content, all of it; None when it was refused."""
        if self.refusal is None:
            before = self._reader.header
            body = self._reader.finish()
            if self._reader.overlong:
                self._refuse(replies.HEADER_TOO_LARGE, "size")
            elif before is None and self._reader.header is not None:
                self._take_header(self._reader.header, body)
            self._take(body)
        if self._draft is not None and self.refusal is None:
            await self._write()
        if self.refusal is not None:
            await self.discard()
            return None
        if self._draft is not None:
            return self._draft
        content = b"".join(self._pieces)
        self._pieces = []
        self.eight_bit = not content.isascii()
        return content

    async def discard(self) -> None:
        """Keep nothing of it."""
        self._pieces = []
        self._held = 0
        draft, self._draft = self._draft, None
        if draft is not None:
            await draft.discard()

    def _take_header(self, header: bytes, body: bytes | memoryview) -> None:
        completed = self._complete(header)
        if isinstance(completed, tuple):
            self._refuse(*completed)
            return
        self._take(completed + b"\r\n" if body or self._reader.separated else completed)

    def _take(self, octets: bytes | memoryview) -> None:
        if not octets or self.refusal is not None:
            return
        self._pieces.append(octets)
        self._held += len(octets)
        self.size += len(octets)

    def _refuse(self, reply: Reply, reason: str) -> None:
        self.refusal = (reply, reason)
        self._pieces = []
        self._held = 0

    async def _write(self) -> None:
        pieces, self._pieces, self._held = self._pieces, [], 0
        try:
            if self._draft is None:
                self._draft = self._new_draft()
                # What was held until it was known to be large never is again: twenty of these at once are 20 MiB.
                self._threshold = 0
            pieces.reverse()
            while pieces:
                octets = bytes(pieces.pop())
                self.eight_bit = self.eight_bit or not octets.isascii()
                await self._draft.write(octets)
        except SpoolError as error:
            self._refuse(admission.refuse_for_spool(error), "spool")

"""Checksums of what is never changed: neither SQLite nor most file systems see octets that a disk changed.

CRC-32 over whose octets they are and then the octets, so that another row's in their place are found too.
"""

from __future__ import annotations

from zlib import crc32


def chunk_row(content: str, number: int, octets: bytes) -> tuple[str, int, bytes, int]:
    """Return the row of `chunks`, in the order of its columns.

    Made in the writer's thread: for large octets the interpreter's lock is let go, and the event loop goes on.
    """
    return content, number, octets, _of_chunk(content, number, octets)


def _of_chunk(content: str, number: int, octets: bytes) -> int:
    """Return what `chunks.checksum` has."""
    return crc32(octets, crc32(f"{content} {number}".encode()))


def checksum_of_recipient(
    message: str, position: int, forward_path: str, reverse_path: str | None, content: str
) -> int:
    """Return what `recipients.checksum` has: to whom which content goes, and who hears of it."""
    return crc32(f"{message} {position} {content}\n{forward_path}\n{reverse_path}".encode())


def is_chunk(content: str, number: int, octets: object, checksum: int | None) -> bool:
    """Return whether a chunk is as it was written; what an older Relay wrote has no checksum."""
    # One bit makes a text of it.
    return isinstance(octets, bytes) and checksum in (None, _of_chunk(content, number, octets))

import pytest

from relay.spool.contents import INLINE, RecentContent, StoredContent
from relay.spool.contract import SpoolError


async def _nothing(_key: str, _number: int) -> bytes | None:
    return None


async def test_content_in_memory_is_not_read() -> None:
    content = StoredContent("key", 3, False, b"abc", _nothing)
    assert [chunk async for chunk in content.chunks()] == [b"abc"]
    assert "abc" not in repr(content)


async def test_chunks_are_read_one_by_one() -> None:
    asked: list[tuple[str, int]] = []

    async def read(key: str, number: int) -> bytes | None:
        asked.append((key, number))
        return [b"ab", b"cd", b"e"][number]

    content = StoredContent("key", 5, False, None, read)
    for _ in range(2):
        assert [chunk async for chunk in content.chunks()] == [b"ab", b"cd", b"e"]
    assert asked == [("key", 0), ("key", 1), ("key", 2)] * 2


async def test_content_that_is_gone_is_an_error_and_not_short() -> None:
    async def read(_key: str, number: int) -> bytes | None:
        return b"ab" if number == 0 else None

    with pytest.raises(SpoolError):
        [chunk async for chunk in StoredContent("key", 5, False, None, read).chunks()]


def test_recent_content_is_little() -> None:
    recent = RecentContent()
    for at in range(100):
        recent.remember(str(at), b"x" * INLINE)
    kept = [at for at in range(100) if recent.take(str(at)) is not None]
    assert kept == list(range(68, 100))
    assert recent.take("99") is None
    recent.remember("large", b"x" * (INLINE + 1))
    assert recent.take("large") is None
    recent.remember("again", b"x")
    assert recent.take("again") == b"x"

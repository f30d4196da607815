import asyncio
import hashlib
from pathlib import Path

import pytest

from relay.simulator.mailbox import IN_MEMORY, ContentSink, ReceivedMessage, ReceivedMessages, ReceivedRecipient


def message(directory: Path, content: bytes, number: int = 1) -> ReceivedMessage:
    sink = ContentSink(directory)
    for at in range(0, len(content), 100_000):
        sink.write(content[at : at + 100_000])
    recipients = (ReceivedRecipient("a@b.test", {}), ReceivedRecipient("c@d.test", {"NOTIFY": "NEVER"}))
    return ReceivedMessage(
        id=str(number),
        provider="ses",
        login="x",
        helo="relay",
        peer="127.0.0.1",
        tls=None,
        reverse_path="",
        mail_parameters={},
        recipients=recipients,
        stored=sink.finish(),
        longest_line=0,
        received_at=1,
    )


@pytest.mark.parametrize("size", [0, 10, IN_MEMORY, IN_MEMORY + 1, 3_000_000])
def test_content_comes_back_from_memory_or_file(tmp_path: Path, size: int) -> None:
    content = bytes(range(250)) * (size // 250 + 1)
    content = content[:size]
    received = message(tmp_path, content)
    assert received.content == content
    assert received.stored.sha256 == hashlib.sha256(content).hexdigest()
    assert b"".join(received.stored.pieces()) == content
    assert len(list(tmp_path.iterdir())) == (size > IN_MEMORY)


def test_what_is_discarded_leaves_no_file(tmp_path: Path) -> None:
    sink = ContentSink(tmp_path)
    sink.write(b"x" * (IN_MEMORY + 1))
    assert sink.head(3) == b"xxx"
    assert list(tmp_path.iterdir())
    sink.discard()
    assert not list(tmp_path.iterdir())


def test_the_oldest_are_forgotten_beyond_the_bounds(tmp_path: Path) -> None:
    messages = ReceivedMessages(keep_messages=3, keep_octets=2_500_000)
    for number in range(5):
        messages.add(message(tmp_path, b"small", number))
    assert [one.id for one in messages.all()] == ["2", "3", "4"]
    messages.add(message(tmp_path, b"x" * 2_000_000, 5))
    messages.add(message(tmp_path, b"x" * 2_000_000, 6))
    assert [one.id for one in messages.all()] == ["6"]
    assert len(list(tmp_path.iterdir())) == 1
    assert (messages.total, messages.recipients_total) == (7, 14)
    messages.clear()
    assert not list(tmp_path.iterdir())
    assert messages.total == 0


def test_small_ones_go_into_files_when_much_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.simulator.mailbox.ALL_IN_MEMORY", 10)
    messages = ReceivedMessages(10, 1000)
    messages.sink(tmp_path).write(b"small")
    messages.add(message(tmp_path, b"eleven octets"))
    assert not list(tmp_path.iterdir())
    sink = messages.sink(tmp_path)
    sink.write(b"small")
    assert len(list(tmp_path.iterdir())) == 1
    sink.discard()
    messages.clear()
    messages.sink(tmp_path).write(b"small")
    assert not list(tmp_path.iterdir())


async def test_one_can_wait_for_messages(tmp_path: Path) -> None:
    messages = ReceivedMessages(10, 1000)
    waiting = asyncio.create_task(messages.wait_until(lambda: messages.total >= 2, 10))
    await asyncio.sleep(0)
    messages.add(message(tmp_path, b"one"))
    await asyncio.sleep(0)
    assert not waiting.done()
    messages.add(message(tmp_path, b"two"))
    await waiting
    with pytest.raises(TimeoutError):
        await messages.wait_until(lambda: False, 0.001)

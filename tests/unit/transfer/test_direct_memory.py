from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from relay.envelope import Envelope, Origin, Recipient, WholeContent
from relay.spool.contract import Arrival
from relay.transfer.direct_delivery import Delivery
from relay.transfer.direct_memory import Memory, body_of, key_of
from tests.unit.transfer.made import ACCEPTED_AT, HOUR, mailbox, said

OK = said("250 2.0.0 Ok")
HEADER = b"Received: x\r\nSubject: s\r\n\r\n"


@dataclass
class Clock:
    at: int = ACCEPTED_AT

    def __call__(self) -> int:
        return self.at


@dataclass(frozen=True)
class Pieces:
    """Content that comes in small pieces."""

    octets: bytes
    length: int
    eight_bit: bool = False

    @property
    def size(self) -> int:
        return len(self.octets)

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.octets), self.length):
            yield self.octets[start : start + self.length]


def arrival(
    *recipients: str,
    mark: bytes = b"m",
    client: str = "app",
    sender: str | None = "app@clinic.test",
    own_id: bool = True,
) -> Arrival:
    return Arrival(
        id="0001",
        origin=Origin("submission", client, "10.1.2.3", "app.clinic.test"),
        envelope=Envelope(
            mailbox(sender) if sender else None, tuple(Recipient(mailbox(one)) for one in recipients or ("a@far.test",))
        ),
        candidates=("isp",),
        content=HEADER,
        size=0,
        eight_bit=False,
        header_from="",
        message_id="<1@clinic.test>" if own_id else "<0001@relay.clinic.test>",
        accepted_at=ACCEPTED_AT,
        give_up_at=ACCEPTED_AT,
        mark=mark,
    )


def delivery(of: Arrival, body: bytes = b"one\r\n", *, listens: bool = True) -> Delivery:
    made = Delivery(of, lambda: listens)
    made.content = WholeContent(HEADER + body)
    return made


def test_what_is_alike_has_one_key() -> None:
    assert key_of(arrival()) == key_of(replace(arrival(), id="0002", message_id="<2@x>", accepted_at=7))
    assert key_of(arrival(mark=b"")) is None


@pytest.mark.parametrize(
    "other",
    [
        arrival("a@far.test", "b@far.test"),
        arrival("b@far.test"),
        arrival(mark=b"n"),
        arrival(client="other"),
        arrival(sender="other@clinic.test"),
        arrival(sender=None),
    ],
)
def test_what_is_not_alike_has_another(other: Arrival) -> None:
    assert key_of(arrival()) != key_of(other)


@pytest.mark.parametrize("length", [1, 3, 24, 25, 26, 27, 1000])
async def test_the_body_alone_counts_however_it_comes(length: int) -> None:
    body = b"one\r\n\r\ntwo\r\n"
    assert await body_of(Pieces(HEADER + body, length)) == hashlib.sha256(body).digest()
    assert await body_of(Pieces(b"Received: another\r\n" + HEADER + body, length)) == hashlib.sha256(body).digest()


async def test_it_is_found_again_by_its_body_until_a_day_is_over() -> None:
    clock = Clock()
    memory, made = Memory(clock), delivery(arrival())
    key = key_of(made.arrival)
    assert key is not None
    await memory.remember(key, made, OK, frozenset({"a@far.test"}))
    assert await memory.find(key, WholeContent(HEADER + b"two\r\n")) is None
    clock.at += 24 * HOUR - 1
    found = await memory.find(key, made.content)
    assert found is not None
    assert (found.reply, found.relayed) == (OK, frozenset({"a@far.test"}))
    clock.at += 1
    assert await memory.find(key, made.content) is None
    assert len(memory) == 0


async def test_without_an_id_of_its_own_it_is_soon_another_message() -> None:
    clock = Clock()
    memory, made = Memory(clock), delivery(arrival(own_id=False))
    key = key_of(made.arrival)
    assert key is not None
    await memory.remember(key, made, OK, frozenset(), 1, 5000)
    found = await memory.find(key, made.content)
    assert found is not None
    assert (found.uncertain, found.wait_until) == (1, ACCEPTED_AT + 5000)
    clock.at += HOUR // 4
    assert await memory.find(key, made.content) is None


async def test_the_oldest_are_forgotten_first() -> None:
    memory = Memory(Clock(), most=3)
    for number in range(5):
        made = delivery(arrival(mark=b"%d" % number))
        key = key_of(made.arrival)
        assert key is not None
        await memory.remember(key, made, OK, frozenset())
    assert len(memory) == 3
    key = key_of(arrival(mark=b"0"))
    assert key is not None
    assert await memory.find(key, WholeContent(HEADER + b"one\r\n")) is None


@pytest.mark.parametrize(
    ("listens", "late", "answered", "own_id", "joined"),
    [
        (True, False, False, True, False),
        (False, False, False, True, True),
        (False, False, False, False, False),
        (True, True, True, True, True),
        (True, True, True, False, True),
        (False, False, True, True, False),
    ],
)
async def test_what_is_under_way_is_joined_where_nobody_waits_for_it(
    listens: bool, late: bool, answered: bool, own_id: bool, joined: bool
) -> None:
    memory, first = Memory(Clock()), delivery(arrival(own_id=own_id), listens=listens)
    key = key_of(first.arrival)
    assert key is not None
    end = memory.begin(key, first)
    first.late = late
    if answered:
        first.answer(OK)
    assert (await memory.first_of(key, delivery(arrival(own_id=own_id))) is first) is joined
    assert await memory.first_of(key, delivery(arrival(own_id=own_id), b"two\r\n")) is None
    end()
    assert await memory.first_of(key, delivery(arrival(own_id=own_id))) is None

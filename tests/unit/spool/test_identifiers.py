import re

import pytest

from relay.spool.identifiers import Identifiers, first_id_at, letters, tag_of

NOW = 1_795_330_000_000


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "000000000000"), (1, "000000000001"), (31, "00000000000V"), (32, "000000000010"), (2**60 - 1, "V" * 12)],
)
def test_letters(number: int, text: str) -> None:
    assert letters(number) == text


def test_they_sort_as_ascii() -> None:
    clock = Clock()
    identifiers = Identifiers("node", 0, clock)
    ids = []
    for step in (0, 0, 1, -5000, 0, 1000, 86_400_000, -86_400_000 * 365):
        clock.now += step
        ids += [identifiers.next_id() for _ in range(50)]
    assert [id_.encode() for id_ in ids] == sorted({id_.encode() for id_ in ids})
    assert all(re.fullmatch("[0-9A-V]{16}", id_) for id_ in ids)


def test_they_go_on_behind_the_mark() -> None:
    clock = Clock()
    before = Identifiers("node", 0, clock)
    before.number()
    mark = before.next_mark()
    assert mark is not None
    before.marked(mark)
    last = max(before.next_id() for _ in range(10_000))
    assert before.next_mark() is None
    clock.now -= 3600_000
    assert Identifiers("node", mark, clock).next_id() > last


def test_the_mark_moves_before_it_is_passed() -> None:
    clock = Clock()
    identifiers = Identifiers("node", 0, clock)
    marks = 0
    mark = 0
    for _ in range(100):
        clock.now += 1000
        number = identifiers.number()
        moved = identifiers.next_mark()
        if moved is not None:
            marks, mark = marks + 1, moved
            identifiers.marked(moved)
        assert number <= mark
    assert marks <= 11


def test_restarts_in_quick_succession_do_not_drive_them_on() -> None:
    clock, mark = Clock(), 0
    for _ in range(100):
        identifiers = Identifiers("node", mark, clock)
        assert identifiers.next_mark() is None
        identifiers.number()
        mark = identifiers.next_mark() or mark
    assert mark >> 12 < NOW + 120_000


def test_nodes_have_tags_of_their_own() -> None:
    assert len({tag_of(f"node-{at}") for at in range(100)}) == 100
    assert len(tag_of("a node with a very long name indeed, ä")) == 4


def test_the_first_id_of_an_instant() -> None:
    clock = Clock()
    identifiers = Identifiers("node", 0, clock)
    assert first_id_at(NOW) < identifiers.next_id() < first_id_at(NOW + 1)
    assert first_id_at(-5) == "000000000000"

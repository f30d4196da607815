import pytest

from relay.upstream.graph_cut import Extraction, Remainder
from relay.upstream.graph_parts import Decoder, Part, Plan, Survey, taken_out
from tests.upstream.graph_mail import octets, with_attachment, written


def _part(number: int, size: int, content_type: str = "application/pdf") -> Part:
    return Part(number, size, size, "x", content_type, inline=False, content_id="")


@pytest.mark.parametrize(
    ("sizes", "size", "taken"),
    [
        ((), 100, ()),
        ((), 101, None),
        ((60,), 100, ()),
        ((60,), 160, (1,)),
        ((60,), 161, None),
        ((60, 20, 60), 210, (1, 2, 3)),
        ((20, 60, 20), 150, (2, 3)),
        ((20, 20, 60), 150, (3,)),
    ],
)
def test_which_parts_are_taken_out(sizes: tuple[int, ...], size: int, taken: tuple[int, ...] | None) -> None:
    parts = [_part(number, size) for number, size in enumerate(sizes, 1)]
    found = taken_out(parts, size, 100)
    assert (None if found is None else tuple(part.number for part in found)) == taken


def test_a_message_in_the_message_stays_where_it_can() -> None:
    parts = [_part(1, 60), _part(2, 10, "message/rfc822"), _part(3, 10)]
    assert [part.number for part in taken_out(parts, 150, 100) or ()] == [1, 3]


@pytest.mark.parametrize("step", [1, 7, 1000, 10**6])
def test_cut_in_two_however_it_comes(step: int) -> None:
    message = bytes(with_attachment(with_attachment(written(), 3000, "1.pdf"), 500, "2.pdf", seed=2))

    def surveyed() -> Plan:
        survey = Survey()
        for start in range(0, len(message), step):
            survey.look_at(survey.of(message[start : start + step]))
        survey.look_at(survey.end())
        assert survey.size == len(message)
        plan = survey.plan(1000)
        assert plan is not None
        return plan

    plan = surveyed()
    assert [(part.name, part.size) for part in plan.parts] == [("1.pdf", 3000), ("2.pdf", 500)]
    remainder, extraction = Remainder(plan), Extraction(plan)
    left, taken = b"", {part.number: b"" for part in plan.parts}
    for start in range(0, len(message), step):
        left += remainder.left(remainder.of(message[start : start + step]))
        for number, piece in extraction.taken(extraction.of(message[start : start + step])):
            taken[number] += piece
    left += remainder.left(remainder.end())
    for number, piece in extraction.rest():
        taken[number] += piece
    assert list(taken.values()) == [octets(3000), octets(500, 2)]
    assert len(left) == len(message) - sum(part.octets for part in plan.parts)
    assert b"Hello" in left
    assert b"application/pdf" not in left


@pytest.mark.parametrize(
    ("encoding", "lines", "decoded"),
    [
        ("base64", ["SGVs", "bG8="], b"Hello"),
        ("base64", ["SGV", "sbG8 =", ""], b"Hello"),
        ("base64", ["SGVsbG8"], None),
        ("base64", ["SGVs!"], None),
        ("base64", ["SGVsbG8=", "SGVs"], None),
        ("7bit", ["a", "", "b"], b"a\r\n\r\nb"),
    ],
)
def test_decoding(encoding: str, lines: list[str], decoded: bytes | None) -> None:
    decoder = Decoder(encoding, delimited=True)
    said = b"".join(decoder.decoded(line.encode(), ends=True) for line in lines) + decoder.finished()
    assert decoder.damaged is (decoded is None)
    if decoded is not None:
        assert said == decoded

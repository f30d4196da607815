import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.quantities import duration_from, duration_text, size_from, size_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("12h", 43200.0),
        ("5d", 432000.0),
        ("2w", 1209600.0),
        (" 5 m ", 300.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_from(text) == seconds


@pytest.mark.parametrize(
    ("text", "octets"),
    [("512B", 512), ("1KiB", 1024), ("35MiB", 36700160), ("1GiB", 1 << 30), ("1KB", 1000), ("1.5MB", 1500000)],
)
def test_sizes(text: str, octets: int) -> None:
    assert size_from(text) == octets


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a duration; write a number and one of ms, s, m, h, d, w"),
        ("5", '"5" has no unit; write a number and one of'),
        ("5M", '"M" is no unit of a duration; write "5m"'),
        ("5 min", '"min" is no unit of a duration; use one of'),
        ("-5s", "is not a duration"),
        ("1e5s", "is not a duration"),
        ("5m30s", "is not a duration"),
        ("٥s", "is not a duration"),
        ("9" * 40 + "s", "is not a duration"),
    ],
)
def test_what_is_no_duration(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="; ") as caught:
        duration_from(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("35M", "use one of B, KiB, MiB"), ("35mb", 'write "35MB"'), ("x", "not a size")]
)
def test_what_is_no_size(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="; ") as caught:
        size_from(text)
    assert said in str(caught.value)


@given(st.integers(min_value=1, max_value=10**11))
def test_a_durations_text_reads_back(milliseconds: int) -> None:
    assert round(duration_from(duration_text(milliseconds / 1000)) * 1000) == milliseconds


@given(st.integers(min_value=0, max_value=1 << 50))
def test_a_sizes_text_reads_back(octets: int) -> None:
    assert size_from(size_text(octets)) == octets

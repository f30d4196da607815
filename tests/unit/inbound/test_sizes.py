"""What no upstream takes is refused with the limit of the one that takes the most."""

import pytest

from relay.config.settings import Settings
from relay.inbound.sizes import Sizes

SMTP = {"type": "smtp", "host": "mx.test"}
SETTINGS = Settings.model_validate(
    {
        "hostname": "relay.clinic.test",
        "state_dir": "/var/lib/relay",
        "upstream": {
            "small": SMTP | {"max_message_size": 50_000},
            "large": SMTP | {"max_message_size": 900_000},
            "open": SMTP,
        },
        "client": {
            "one": {"username": "one", "upstream": "small"},
            "two": {"username": "two", "upstream": ["small", "large"]},
            "sharing": {"username": "sharing", "upstream": [["small", "large"]]},
            "any": {"username": "any", "upstream": ["small", "open"]},
        },
    }
)


def sizes(**learned: int) -> Sizes:
    return Sizes(SETTINGS, learned.get)


@pytest.mark.parametrize(
    ("client", "learned", "size", "limit"),
    [
        ("one", {}, 48_976, None),
        # What is put on top has to have room as well.
        ("one", {}, 48_977, "small takes at most 50000 octets"),
        ("one", {"small": 20_000}, 30_000, "small takes at most 20000 octets"),
        ("two", {}, 800_000, None),
        ("two", {}, 1_000_000, "large takes at most 900000 octets"),
        ("sharing", {}, 800_000, None),
        ("two", {"large": 10_000}, 60_000, "small takes at most 50000 octets"),
        ("any", {}, 10**9, None),
        ("any", {"open": 100_000}, 10**9, "open takes at most 100000 octets"),
    ],
)
def test_what_is_refused_at_mail(client: str, learned: dict[str, int], size: int, limit: str | None) -> None:
    said = sizes(**learned).refuse_declared(SETTINGS.client[client], size)
    if limit is None:
        assert said is None
    else:
        assert said is not None
        assert (said.code, str(said.status)) == (552, "5.3.4")
        assert limit in said.text


@pytest.mark.parametrize(
    ("candidates", "size", "fitting"),
    [
        (("small", "large"), 50_000, ("small", "large")),
        (("small", "large"), 50_001, ("large",)),
        (("large", "small", "open"), 900_001, ("open",)),
        (("open",), 10**9, ("open",)),
    ],
)
def test_who_is_left_of_the_candidates(candidates: tuple[str, ...], size: int, fitting: tuple[str, ...]) -> None:
    assert sizes().refuse(candidates, size) is None
    assert sizes().fitting(candidates, size) == fitting


def test_a_complete_message_that_is_too_large_for_all() -> None:
    assert sizes().refuse(("small", "large"), 900_000) is None
    said = sizes().refuse(("small", "large"), 900_001)
    assert said is not None
    assert "large takes at most 900000 octets (0.9 MB)" in said.text

"""One mailbox's token: one request at a time, renewed early, used as long as it lasts."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay.config.seal import SealedStore
from relay.reply import reply
from relay.upstream.contract import Cause, Phase
from relay.upstream.credentials import BearerToken
from relay.upstream.failures import ConversationEnded
from relay.upstream.token_store import AccessToken, TokenRecord, TokenStore, purpose_of
from relay.upstream.tokens import MailboxTokens, renewal_at

MINUTE = 60_000
HOUR = 60 * MINUTE


@dataclass
class Authority:
    """Issues t1, t2, ... of an hour each; `down` makes it fail."""

    now: int = 1_000_000_000
    lifetime: int = HOUR
    issued: int = 0
    down: ConversationEnded | None = None
    waits: threading.Event | None = None
    caches: list[str | None] = field(default_factory=list)

    def fetch(self, record: TokenRecord) -> TokenRecord:
        if self.waits is not None:
            assert self.waits.wait(5)
        self.caches.append(record.cache)
        if self.down is not None:
            raise self.down
        self.issued += 1
        return TokenRecord(record.purpose, AccessToken(f"t{self.issued}", self.now, self.now + self.lifetime), "cache")

    def clock(self) -> int:
        return self.now


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def make(tmp_path: Path, authority: Authority) -> Callable[..., MailboxTokens]:
    def made(purpose: str = "p") -> MailboxTokens:
        store = TokenStore(SealedStore(tmp_path, {}), "office365", purpose)
        return MailboxTokens("office365", "a@clinic.test", store, authority.fetch, authority.clock)

    return made


def down(pause: int = 0) -> ConversationEnded:
    return ConversationEnded(Phase.TOKEN, reply(454, "4.7.0", "down"), Cause.TOKEN_UNAVAILABLE, pause=pause)


async def test_fetched_once_however_many_ask(make: Callable[..., MailboxTokens], authority: Authority) -> None:
    tokens = make()
    authority.waits = threading.Event()
    asking = [asyncio.create_task(tokens.credential()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    authority.waits.set()
    given = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(given[0], asyncio.CancelledError)
    assert set(given[1:]) == {BearerToken("a@clinic.test", "t1")}
    assert authority.issued == 1
    assert tokens.expires_at == authority.now + HOUR


@pytest.mark.parametrize(
    ("lifetime", "age", "issued"),
    [
        (HOUR, 49 * MINUTE, 1),
        (HOUR, 50 * MINUTE, 2),
        (HOUR, 2 * HOUR, 2),
        (10 * MINUTE, 4 * MINUTE, 1),
        (10 * MINUTE, 5 * MINUTE, 2),
    ],
)
async def test_renewed_early(
    make: Callable[..., MailboxTokens], authority: Authority, lifetime: int, age: int, issued: int
) -> None:
    tokens = make()
    authority.lifetime = lifetime
    await tokens.credential()
    authority.now += age
    assert (await tokens.credential()).token == f"t{issued}"
    assert authority.issued == issued


async def test_a_token_outlives_an_authority_that_is_down(
    make: Callable[..., MailboxTokens], authority: Authority
) -> None:
    tokens = make()
    await tokens.credential()
    authority.down = down()
    authority.now += 55 * MINUTE
    assert (await tokens.credential()).token == "t1"
    assert (await tokens.credential()).token == "t1"
    assert len(authority.caches) == 2, "asked in vain once, then left alone for a minute"
    authority.now += MINUTE
    assert (await tokens.credential()).token == "t1"
    assert len(authority.caches) == 3
    authority.now += 4 * MINUTE
    with pytest.raises(ConversationEnded):
        await tokens.credential()
    authority.down = None
    assert (await tokens.credential()).token == "t2"


async def test_found_again_after_a_restart(make: Callable[..., MailboxTokens], authority: Authority) -> None:
    await make().credential()
    authority.down = down()
    assert (await make().credential()).token == "t1"
    assert len(authority.caches) == 1
    with pytest.raises(ConversationEnded):
        await make("for another mailbox").credential()


async def test_a_refused_token_is_not_given_again(make: Callable[..., MailboxTokens], authority: Authority) -> None:
    tokens = make()
    first = await tokens.credential()
    given = await asyncio.gather(*(tokens.credential(first) for _ in range(3)))
    assert {one.token for one in given} == {"t2"}
    assert authority.issued == 2
    assert (await tokens.credential(first)).token == "t2"
    authority.down = down()
    with pytest.raises(ConversationEnded):
        await tokens.credential(BearerToken("a@clinic.test", "t2"))
    assert (await tokens.credential()).token == "t2"


async def test_what_another_process_fetched_is_used(make: Callable[..., MailboxTokens], authority: Authority) -> None:
    ours = make()
    first = await ours.credential()
    assert (await make().credential(first)).token == "t2"
    assert (await ours.credential(first)).token == "t2"
    assert authority.issued == 2


async def test_the_cache_goes_along(make: Callable[..., MailboxTokens], authority: Authority) -> None:
    await make().credential()
    authority.now += HOUR
    await make().credential()
    assert authority.caches == [None, "cache"]


async def test_retry_after_is_heeded(make: Callable[..., MailboxTokens], authority: Authority) -> None:
    tokens = make()
    authority.down = down(pause=2 * MINUTE)
    for _ in range(3):
        with pytest.raises(ConversationEnded, match="down"):
            await tokens.credential()
        authority.now += 30_000
    assert len(authority.caches) == 1
    authority.now += MINUTE
    authority.down = None
    assert (await tokens.credential()).token == "t1"


async def test_an_authority_that_never_comes_to_an_end(
    make: Callable[..., MailboxTokens], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.upstream.tokens.LONGEST", 0.05)
    tokens = make()
    authority.waits = threading.Event()
    with pytest.raises(ConversationEnded, match="office365 now: no answer in 0 s") as ended:
        await tokens.credential()
    assert (ended.value.phase, ended.value.cause) == (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)
    authority.waits.set()
    authority.waits = None
    monkeypatch.undo()
    # What came too late is not used; a new request is made.
    assert (await tokens.credential()).token in {"t1", "t2"}
    authority.now += HOUR - 5 * MINUTE
    authority.waits = threading.Event()
    monkeypatch.setattr("relay.upstream.tokens.LONGEST", 0.05)
    assert (await tokens.credential()).token in {"t1", "t2"}, "the old token is used as long as it lasts"
    authority.waits.set()


async def test_a_store_that_cannot_be_read_is_told(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "secrets.sealed").write_bytes(b"damaged")
    (tmp_path / "seal.key").write_bytes(b"x" * 32)
    store = TokenStore(SealedStore(tmp_path, {}), "office365", "p")
    with pytest.raises(ConversationEnded) as told:
        await MailboxTokens("office365", "a@clinic.test", store, authority.fetch, authority.clock).credential()
    assert (told.value.phase, told.value.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)


async def test_a_store_that_cannot_be_written_stops_nothing(tmp_path: Path, authority: Authority) -> None:
    store = TokenStore(SealedStore(tmp_path, {}), "office365", "p")
    tokens = MailboxTokens("office365", "a@clinic.test", store, authority.fetch, authority.clock)
    (tmp_path / "seal.lock").mkdir()
    assert (await tokens.credential()).token == "t1"
    authority.now += MINUTE
    assert (await tokens.credential()).token == "t1"
    assert (await tokens.credential(BearerToken("a@clinic.test", "t1"))).token == "t2"


@pytest.mark.parametrize("name", ["office365", "my upstream: \N{SNOWMAN}", "x" * 300, "a:b"])
def test_any_name(tmp_path: Path, name: str) -> None:
    store = TokenStore(SealedStore(tmp_path, {}), name, "p")
    record = TokenRecord("p", AccessToken("t", 1, 2), "cache")
    store.save(record)
    assert TokenStore(SealedStore(tmp_path, {}), name, "p").load() == record
    assert TokenStore(SealedStore(tmp_path, {}), name, "q").load() == TokenRecord("q")
    assert SealedStore(tmp_path, {}).names() == ()


def test_what_is_kept_is_not_believed_blindly(tmp_path: Path) -> None:
    store = SealedStore(tmp_path, {})
    for text in ("", "[]", "{}", '{"purpose": "p", "access": {"no": 1}, "cache": null}', "null"):
        store.set("token:office365", text or " ")
        assert TokenStore(store, "office365", "p").load() == TokenRecord("p")


def test_nothing_secret_is_shown() -> None:
    record = TokenRecord("p", AccessToken("eyJ0", 1, 2), "eyJ1")
    assert "eyJ" not in repr(record)


def test_purposes_differ() -> None:
    assert purpose_of("a", "b") != purpose_of("ab", "")


def test_renewal_of_a_token_without_life() -> None:
    assert renewal_at(AccessToken("t", 5, 5)) == 5


async def test_anew_asks_the_authority_whatever_is_in_hand(
    make: Callable[..., MailboxTokens], authority: Authority
) -> None:
    tokens = make()
    assert (await tokens.anew()).token == "t1"
    assert authority.issued == 1
    assert (await tokens.credential()).token == "t1"
    assert (await tokens.anew()).token == "t2"
    # One that another process has kept counts as in hand.
    assert (await make().anew()).token == "t3"
    authority.down = down()
    with pytest.raises(ConversationEnded):
        await tokens.anew()
    assert (await tokens.credential()).token == "t3"


async def test_what_is_in_hand_is_told_without_asking(make: Callable[..., MailboxTokens], authority: Authority) -> None:
    tokens = make()
    assert tokens.in_hand() is None
    await tokens.credential()
    authority.down = down()
    with pytest.raises(ConversationEnded):
        await tokens.anew()
    assert tokens.in_hand() == BearerToken("a@clinic.test", "t1")
    authority.now += HOUR
    assert tokens.in_hand() is None
    assert len(authority.caches) == 2, "asked once each"

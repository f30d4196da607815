"""An authority that is down for an hour, by an injected clock: while the token holds mail goes, then it waits."""

from pathlib import Path

import pytest

from relay.config.seal import SealedStore
from relay.transfer.outcome import Deferred
from relay.transfer.verdict import outcome_of_probe, unreachable
from relay.upstream.contract import Cause
from relay.upstream.failures import ConversationEnded
from relay.upstream.token_store import TokenStore
from relay.upstream.tokens import MailboxTokens
from tests.unit.upstream.test_tokens import MINUTE, Authority, down

_RENEWED_EVERY = 50
"""Minutes: a token of an hour is renewed ten minutes before its end."""


@pytest.mark.parametrize("begins", [1, 30, 49, 50, 55, 59, 61, 99])
@pytest.mark.parametrize("restarts_every", [0, 13], ids=["one process", "with restarts"])
async def test_an_hour_without_the_authority(tmp_path: Path, begins: int, restarts_every: int) -> None:
    authority = Authority()
    store = TokenStore(SealedStore(tmp_path, {}), "office365", "p")
    tokens = MailboxTokens("office365", "a@clinic.test", store, authority.fetch, authority.clock)
    waited: dict[int, ConversationEnded] = {}
    for minute in range(240):
        authority.down = down() if begins <= minute < begins + 60 else None
        if restarts_every and minute % restarts_every == 0:
            tokens = MailboxTokens("office365", "a@clinic.test", store, authority.fetch, authority.clock)
        try:
            await tokens.credential()
        except ConversationEnded as end:
            waited[minute] = end
        authority.now += MINUTE
    ends = (begins - 1) // _RENEWED_EVERY * _RENEWED_EVERY + 60
    assert list(waited) == list(range(ends, begins + 60)), "mail waits from the token's end to the authority's return"
    assert authority.issued <= 6
    for refused in waited.values():
        # It is tried again, as with any upstream out of reach: neither held nor returned to its sender.
        assert refused.cause is Cause.TOKEN_UNAVAILABLE
        assert unreachable(refused.conversation(1))
        assert isinstance(outcome_of_probe(refused.conversation(0), "microsoft365"), Deferred)

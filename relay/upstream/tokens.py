"""One mailbox's access token: fetched once however many ask, renewed early, kept while the authority is down."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable

from relay.config.problems import ConfigError
from relay.logs import Log
from relay.upstream.contract import Cause, Phase
from relay.upstream.credentials import BearerToken, Credential
from relay.upstream.detached import detached
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.token_store import AccessToken, TokenRecord, TokenStore, now

EARLY = 600_000
"""Milliseconds before its end at which a token is renewed: High Volume Email refuses one with less than ten minutes
left (501 5.5.127), and it is the time for which the authority may be down unnoticed."""

MARGIN = 30_000
"""Milliseconds before its end at which a token is no longer used at all; clocks differ."""

PAUSE = 60_000
"""Milliseconds after an early renewal that failed, while the old token still does."""

LONGEST = 90.0
"""Seconds that a request may take in all, a command for an assertion included. An authority's answer that trickles in
would keep everybody waiting for hours, and no timeout of the connection would see it."""

_log = Log("relay.upstream")


def renewal_at(token: AccessToken) -> int:
    """Return when to renew a token: ten minutes before its end, of a short-lived one at half its life."""
    return token.expires_at - min(EARLY, (token.expires_at - token.obtained_at) // 2)


class MailboxTokens:
    """A credential source. `fetch` asks the authority, in a thread: it blocks, and raises ConversationEnded.

    It is given what is kept and returns what to keep, always with a new token.
    """

    renewable = True

    def __init__(
        self,
        upstream: str,
        mailbox: str,
        store: TokenStore,
        fetch: Callable[[TokenRecord], TokenRecord],
        clock: Callable[[], int] = now,
    ) -> None:
        self._upstream = upstream
        self._mailbox = mailbox
        self._store = store
        self._fetch = fetch
        self._clock = clock
        self._record = TokenRecord(store.purpose)
        self._flight: asyncio.Task[AccessToken] | None = None
        self._no_early_renewal_before = 0
        self._failure: tuple[int, ConversationEnded] | None = None

    @property
    def expires_at(self) -> int | None:
        """When the token in hand expires; None without one."""
        return self._record.access.expires_at if self._record.access else None

    async def credential(self, refused: Credential = None) -> BearerToken:
        """Return the mailbox and a token, another one than `refused`."""
        spent = refused.token if isinstance(refused, BearerToken) else None
        token = self._fresh(self._record, spent)
        if token is None:
            if self._flight is None or self._flight.done():
                self._flight = asyncio.create_task(self._renewed(spent))
                self._flight.add_done_callback(_observed)
            # Whoever is cancelled leaves the others, and the request under way, alone.
            token = await asyncio.shield(self._flight)
        return BearerToken(self._mailbox, token.token)

    async def anew(self) -> BearerToken:
        """Return the mailbox and a token that was asked for just now; the one in hand stays where there is none."""
        self._record = await self._kept()
        in_hand = self._record.access
        return await self.credential(BearerToken(self._mailbox, in_hand.token) if in_hand is not None else None)

    def in_hand(self) -> BearerToken | None:
        """Return the mailbox and the token that there is, without asking; None where none counts any more."""
        token = self._record.access
        if token is None or self._clock() >= token.expires_at - MARGIN:
            return None
        return BearerToken(self._mailbox, token.token)

    def _fresh(self, record: TokenRecord, spent: str | None) -> AccessToken | None:
        token, instant = record.access, self._clock()
        if token is None or token.token == spent or instant >= token.expires_at - MARGIN:
            return None
        return token if instant < max(renewal_at(token), self._no_early_renewal_before) else None

    async def _renewed(self, spent: str | None) -> AccessToken:
        record = await self._kept()
        token = self._fresh(record, spent)
        if token is not None:
            self._record = record
            return token
        try:
            self._heed_pause()
            async with asyncio.timeout(LONGEST):
                renewed = await detached(f"token {self._upstream}", functools.partial(self._fetch, record))
        except ConversationEnded as end:
            return self._in_spite_of(end, record.access, spent)
        except TimeoutError:
            said = reply_for(Cause.TOKEN_UNAVAILABLE, Phase.TOKEN, self._upstream, f"no answer in {LONGEST:.0f} s")
            late = ConversationEnded(Phase.TOKEN, said, Cause.TOKEN_UNAVAILABLE)
            return self._in_spite_of(late, record.access, spent)
        assert renewed.access is not None  # noqa: S101 - what fetch promises
        self._record, self._failure, self._no_early_renewal_before = renewed, None, 0
        await asyncio.to_thread(self._store.try_save, renewed)
        reason = "refused" if spent is not None else "expiring" if record.access is not None else "missing"
        values = {"upstream": self._upstream, "reason": reason, "expires_at": renewed.access.expires_at}
        _log.write(logging.INFO, "token_renewed", values)
        return renewed.access

    def _heed_pause(self) -> None:
        """Answer as the authority did while it asked to be left alone (Retry-After)."""
        if self._failure is not None:
            until, end = self._failure
            if self._clock() < until:
                raise ConversationEnded(end.phase, end.reply, end.cause)
            self._failure = None

    async def _kept(self) -> TokenRecord:
        """Return what is kept; another process may have renewed it, or a person may have signed in again."""
        try:
            kept = await asyncio.to_thread(self._store.load)
        except ConfigError as error:
            said = reply_for(Cause.SECRET_UNAVAILABLE, Phase.SECRET, self._upstream, str(error))
            raise ConversationEnded(Phase.SECRET, said, Cause.SECRET_UNAVAILABLE) from error
        ours, theirs = self._record.access, kept.access
        # Ours may be the newer one where the store could not be written.
        older = ours is not None and (theirs is None or theirs.obtained_at < ours.obtained_at)
        return TokenRecord(kept.purpose, ours, kept.cache) if older else kept

    def _in_spite_of(self, end: ConversationEnded, token: AccessToken | None, spent: str | None) -> AccessToken:
        if end.pause and self._failure is None:
            self._failure = (self._clock() + end.pause, end)
        if token is None or token.token == spent or self._clock() >= token.expires_at - MARGIN:
            raise end
        self._record = TokenRecord(self._store.purpose, token)
        self._no_early_renewal_before = self._clock() + max(PAUSE, end.pause)
        values = {"upstream": self._upstream, "reply": str(end.reply), "expires_at": token.expires_at}
        _log.write(logging.WARNING, "token_not_renewed", values)
        return token


def _observed(task: asyncio.Task[AccessToken]) -> None:
    """Look at the result, lest asyncio complain of a failure that nobody waited for any more."""
    if not task.cancelled():
        task.exception()

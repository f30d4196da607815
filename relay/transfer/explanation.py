"""Which diagnosis belongs to a reply, wherever it is met: in an outcome, at a gate, in the trace, or pasted. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.providers import Provider, provider_of
from relay.config.upstream_settings import UpstreamSettings
from relay.diagnosis.causes import (
    diagnosis_by_number,
    diagnosis_by_words,
    diagnosis_for,
    explains,
)
from relay.diagnosis.diagnosis import Actor, Diagnosis
from relay.diagnosis.names import Names, names_of
from relay.reply import Reply, parse_reply
from relay.spool.records import Gate, HoldReason
from relay.transfer.classification import Named, Occasion, Row, Stage, row_for
from relay.transfer.settlement import NO_FINAL_REPLY
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import EARLY_WORDS, TOKEN_HOST, reply_for
from relay.upstream.managed_identity import ENDPOINT

Likely = Callable[[Row], bool]

_LOGIN_CODES = frozenset({504, 534, 535, 538})
_STAGES = (Stage.DATA, Stage.RCPT, Stage.MAIL, Stage.AUTH, Stage.OPENING)
_TOKEN_WORDS = re.compile(
    r"AADSTS\d|\b(invalid_(client|grant|scope|resource)|unauthorized_client|consent_required|interaction_required"
    r"|temporarily_unavailable|slow_down)\b|no access token (for|from)",
    re.IGNORECASE,
)
VAGUE = frozenset({"permanent", "transient", "misplaced", "opening", "aadsts_other"})
"""Diagnoses that say no more than the reply itself does."""

_UNCERTAIN: Final = "uncertain"
"""What explains an end without an answer, before it is known what becomes of the message."""

_ANY_PHASE = frozenset(
    {
        Cause.TIMEOUT,
        Cause.DISCONNECTED,
        Cause.GARBLED,
        Cause.SMTPUTF8_MISSING,
        Cause.TOO_LARGE,
        Cause.CONTENT_UNREADABLE,
        Cause.LEASE_LOST,
    }
)
"""Ends that may come after MAIL too."""

_LAST_ANSWER = re.compile(r"Delivery time expired; the last answer was: (\d{3}) (.+)", re.DOTALL)
_HOST_TOLD = rf"(?:\S+?|{re.escape(ENDPOINT)})(?:{re.escape(TOKEN_HOST.format(host=''))})?"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`known` is False where the diagnosis says no more than the text itself."""

    diagnosis: Diagnosis
    known: bool


def explanation_of(
    said: Reply | None,
    upstream: UpstreamSettings | None,
    names: Names,
    *,
    reason: HoldReason | None = None,
    failed: bool = False,
    deferred: bool = False,
    named: Named = "nobody",
) -> Explanation:
    """Return what explains a reply of an upstream.

    `reason` where it held the upstream or a message, `failed` where a recipient was given up because of it, `deferred`
    where it is to be tried again; `named` who of the envelope stands in it.
    """
    if reason in {HoldReason.OPERATOR, HoldReason.AMBIGUOUS} or (said is None and reason is not None):
        of_message = reason is HoldReason.OPERATOR and names.get("id")
        return Explanation(
            diagnosis_for("message_put_aside" if of_message else f"hold_{reason}", "", names), known=True
        )
    if said is None:
        return Explanation(diagnosis_for("disconnected", "", names), known=False)
    last = _LAST_ANSWER.match(said.text)
    if last is not None:
        # It was given up because of its time: that reply may have held the upstream instead.
        said, failed = parse_reply(int(last[1]), last[2], said.said_by), False
    provider = provider_of(upstream) if upstream is not None else "smtp"
    likely = _permanent if failed and said.permanent else _passing if deferred else any_row
    found = recorded(said, provider, names, _of_reason(reason) if reason is not None else likely, named)
    if reason is not None and not found.known:
        return Explanation(diagnosis_for(f"hold_{reason}", str(said), names), known=True)
    return found


def explanation_at(
    stage: Stage, said: Reply, cause: Cause | None, upstream: UpstreamSettings, names: Names
) -> Diagnosis:
    """Return what explains a reply of which it is known where it was said; `cause` where it is one of ours."""
    text = str(said)
    found = diagnosis_by_number(text, names)
    if found is not None:
        return found
    provider = provider_of(upstream)
    row = cause.value if cause is not None else ""
    if not explains(row) or _of_authority(row, text):
        row = row_for(Occasion(provider, stage, said)).key
    found = diagnosis_for(row, text, names)
    by_words = diagnosis_by_words(text, names)
    if not found.provider and by_words is not None and by_words.provider == provider:
        return by_words
    if found.key not in VAGUE:
        return found
    otherwise = explanation_of(said, upstream, names)
    return otherwise.diagnosis if otherwise.known else found


def said_before_mail(said: Reply, provider: Provider) -> bool:
    """True where a reply that put a message off is of a time before MAIL: no connection, no token, no login."""
    own = own_cause(str(said))
    if own in _ANY_PHASE:
        return any(words in said.text for words in EARLY_WORDS)
    if own is not None or _stages_of(said) in {(Stage.TOKEN,), (Stage.AUTH,)}:
        return True
    row = _row_of(said, provider, _passing, "nobody")
    return row is not None and bool(row.stages) and row.stages <= {Stage.OPENING, Stage.AUTH}


def diagnosis_of_gate(gate: Gate, upstreams: Mapping[str, UpstreamSettings]) -> Diagnosis:
    """Return why an upstream is held."""
    upstream = upstreams.get(gate.upstream)
    return explanation_of(gate.reply, upstream, names_of(gate.upstream, upstream), reason=gate.reason).diagnosis


def diagnosis_of_expiry(what: str, kind: str, upstream: str | None, table: UpstreamSettings | None) -> Diagnosis:
    """Return what is to be done about something that ends: `what` and `kind` as `relay status` shows them."""
    if kind != "certificate":
        row = f"expires_{kind}"
    elif upstream is None:
        row = "expires_authority" if what == "tls.authority" else "expires_tls"
    else:
        own = isinstance(table, Microsoft365Settings)
        row = "expires_certificate" if own else "expires_client_certificate"
    return diagnosis_for(row, "", names_of(upstream, table) if upstream is not None else {})


def diagnosis_of_failure(row: str, said: Reply, upstream: UpstreamSettings | None, names: Names) -> Diagnosis:
    """Return why a recipient was given up, and what is to be done now that nothing is tried any more.

    `row`: the one of replies.toml, or the cause, that decided; empty where only the last reply is known.
    """
    found = diagnosis_for(row, str(said), names) if explains(row) else None
    if found is None or found.key in VAGUE:
        found = explanation_of(said, upstream, names, failed=bool(row)).diagnosis
    return given_up(found)


def given_up(found: Diagnosis) -> Diagnosis:
    """Return what is said of it once nothing is tried any more: the relay does nothing about it, so somebody must."""
    if found.key == _UNCERTAIN:
        return diagnosis_for("gave_up_uncertain", "", {})
    if found.actor is not Actor.NOBODY:
        return found.lasting
    gave_up = diagnosis_for("gave_up", "", {})
    return gave_up if found.key in VAGUE else replace(found.lasting, actor=gave_up.actor, steps=gave_up.steps)


def left_to_application(found: Diagnosis) -> Diagnosis:
    """Return what is said of it where the application waited for the answer: it may try again, the relay does not."""
    if found.key == _UNCERTAIN:
        return diagnosis_for("left_unknown", "", {})
    left = diagnosis_for("left_to_application", "", {})
    if found.actor is Actor.NOBODY:
        return left if found.key in VAGUE else replace(found.lasting, actor=left.actor, steps=left.steps)
    return replace(found.lasting, steps=(*found.steps, *left.steps))


def recorded(said: Reply, provider: Provider, names: Names, likely: Likely, named: Named = "nobody") -> Explanation:
    """Return what explains a reply of which only the words are known; of several rows the first that is `likely`."""
    text = str(said)
    if said.text == NO_FINAL_REPLY.text:
        return Explanation(diagnosis_for(_UNCERTAIN, text, names), known=True)
    row = own_cause(text)
    if row is None:
        meant = _row_of(said, provider, likely, named)
        row = meant.key if meant is not None else None
    found = diagnosis_by_number(text, names) or (diagnosis_for(row, text, names) if row else None)
    if found is None or found.key in VAGUE:
        found = diagnosis_by_words(text, names) or found or diagnosis_for("transient", text, names)
    return Explanation(found, known=found.key not in VAGUE)


def _row_of(said: Reply, provider: Provider, likely: Likely, named: Named) -> Row | None:
    rows = [row_for(Occasion(provider, stage, said, named)) for stage in _stages_of(said)]
    found = [row for row in rows if likely(row)]
    if not found and likely is _passing:
        found = rows
    return next((row for row in found if particular(row)), found[0] if found else None)


def _stages_of(said: Reply) -> tuple[Stage, ...]:
    if _TOKEN_WORDS.search(said.text):
        return (Stage.TOKEN,)
    return (Stage.AUTH,) if said.code in _LOGIN_CODES else _STAGES


def particular(row: Row) -> bool:
    """True where a row is about more than the class of a code."""
    by_code = 0 < len(row.codes) < 100 and not row.stages
    return bool(row.statuses) or row.text is not None or by_code


def any_row(_row: Row) -> bool:
    """Find any row likely."""
    return True


def _permanent(row: Row) -> bool:
    return row.result == "permanent"


def _passing(row: Row) -> bool:
    return row.result == "transient" or (row.result == "hold" and particular(row))


def _of_reason(reason: HoldReason) -> Likely:
    return lambda row: row.reason is reason


def own_cause(text: str) -> str | None:
    """Return the cause that a reply of our own tells of; None where it quotes words that tell more."""
    found = next((cause for cause, pattern in _own_words() if pattern.search(text)), None)
    return None if found is not None and _of_authority(found, text) else found


def _of_authority(row: str, text: str) -> bool:
    """True where an authority that gives no token just now says why."""
    asked = Occasion("microsoft365", Stage.TOKEN, Reply(454, None, text))
    return row == Cause.TOKEN_UNAVAILABLE and row_for(asked).key == "token_throttled"


@functools.cache
def _own_words() -> tuple[tuple[str, re.Pattern[str]], ...]:
    found = []
    for cause in Cause:
        if cause is Cause.TOKEN_REFUSED:
            # The authority's own words follow; they tell more.
            continue
        said = re.escape(str(reply_for(cause, Phase.CONNECT, "HOST")))
        pattern = said.replace("HOST", _HOST_TOLD).replace(re.escape("while connecting"), r"\w+")
        found.append((cause.value, re.compile(pattern)))
    return tuple(found)

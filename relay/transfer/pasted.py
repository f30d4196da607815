"""Which diagnosis belongs to a text that somebody pasted: a reply, an exception, a line of a log, a code. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Final

from relay.config.providers import Provider, provider_of
from relay.config.upstream_settings import UpstreamSettings
from relay.diagnosis.causes import aadsts_in, diagnosis_by_number, diagnosis_by_words, diagnosis_for, explains
from relay.diagnosis.diagnosis import Diagnosis
from relay.diagnosis.names import Names
from relay.reply import Reply, parse_reply
from relay.transfer.classification import Occasion, Stage, row_for
from relay.transfer.explanation import Explanation, any_row, own_cause, particular, recorded

_LONGEST: Final = 4000
"""Letters that are looked at: more is a whole log, in which the first error is what counts."""

_CODE = re.compile(r"(?<![\d.:])([245]\d\d)[ -](?=\S)")
_STATUS = re.compile(r"(?<![\d.])([45])\.\d{1,3}\.\d{1,3}(?![\d.])")
_NUMBERS = (
    re.compile(r"(?:error )?([1-9]\d{4,6})\Z"),
    re.compile(r"\berror[ _]?codes?\W{1,5}([1-9]\d{4,6})\b", re.IGNORECASE),
    re.compile(r"/error\?code=([1-9]\d{4,6})\b"),
)
"""Entra's numbers where they stand without AADSTS: alone, in the JSON of an answer, in the address of their page."""

_BASE64 = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{16,1000}={0,2}(?![\w+/=])")
_MARKS: tuple[tuple[Provider, re.Pattern[str]], ...] = (
    ("gmail", re.compile(r"\bgsmtp\b|google|gmail", re.IGNORECASE)),
    ("ses", re.compile(r"amazon|\bSES\b|\bAWS\b")),
    (
        "microsoft365",
        re.compile(r"outlook|office ?365|microsoft|AADSTS|STOREDRV|SmtpClientAuth|[45]\.7\.\d{3}\b", re.IGNORECASE),
    ),
)


def explanation_of_text(text: str, upstreams: Iterable[UpstreamSettings], names: Names) -> Explanation | None:
    """Return what explains a text that somebody pasted: a reply, an error's message, an AADSTS number.

    `upstreams` are those configured; their providers are thought of first. None where nothing is recognised.
    """
    text = _legible(text)
    ours = own_cause(text)
    if ours is not None and explains(ours):
        return Explanation(diagnosis_for(ours, text, names), known=True)
    found = diagnosis_by_number(text, names) or diagnosis_by_words(text, names, provider_in(text))
    if found is not None:
        return Explanation(found, known=True)
    said = _reply_in(text)
    if said is None:
        return _without_code(text, upstreams, names)
    explained = [recorded(said, provider, names, any_row) for provider in _providers(text, upstreams)]
    return next((one for one in explained if one.known), explained[0])


def _legible(text: str) -> str:
    """Return it on one line, with a number of Entra's in its usual form, and with what a 334 says in base64."""
    text = re.sub(r"AADSTS[ :_-]?(?=\d)", "AADSTS", " ".join(text[:_LONGEST].split()), flags=re.IGNORECASE)
    if not aadsts_in(text):
        numbers = (found[1] for found in (pattern.search(text) for pattern in _NUMBERS) if found)
        known = (f"AADSTS{number}" for number in numbers)
        text = next((f"{one} {text}" for one in known if diagnosis_by_number(one, {})), text)
    said = (_decoded(found[0]) for found in _BASE64.finditer(text))
    return " ".join((text, *(one for one in said if '"status"' in one)))


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


def upstream_meant(text: str, found: Diagnosis, upstreams: Mapping[str, UpstreamSettings]) -> str | None:
    """Return the name of the upstream that a pasted text is about, None where it may be of several.

    The one whose host is named, else the first of the provider of whom alone it can be true, else the only one.
    """
    words = text.casefold().split()
    named = [name for name, one in upstreams.items() if one.host and one.host.casefold() in words]
    provider = found.provider or provider_in(text)
    own = [name for name, one in upstreams.items() if provider_of(one) == provider] if provider else list(upstreams)
    if named:
        return named[0]
    return own[0] if own and (provider or len(own) == 1) else None


def provider_in(text: str) -> Provider | None:
    """Return whose words a text shows itself to be; None where it does not show it."""
    return next((provider for provider, mark in _MARKS if mark.search(text)), None)


def _without_code(text: str, upstreams: Iterable[UpstreamSettings], names: Names) -> Explanation | None:
    if aadsts_in(text):
        row = row_for(Occasion("microsoft365", Stage.TOKEN, Reply(454, None, text)))
        passing = row.result == "transient"
        return Explanation(diagnosis_for(row.key if passing else "token_account", text, names), known=passing)
    for provider in _providers(text, upstreams):
        for code in (550, 450):
            found = recorded(Reply(code, None, text), provider, names, particular)
            if found.known:
                return found
    return None


def _providers(text: str, upstreams: Iterable[UpstreamSettings]) -> list[Provider]:
    marked = provider_in(text)
    if marked is not None:
        return [marked]
    return list(dict.fromkeys([*map(provider_of, upstreams), "microsoft365", "smtp"]))


def _reply_in(text: str) -> Reply | None:
    code = _CODE.search(text)
    if code is not None:
        # Of a reply in several lines each begins with the code anew.
        return parse_reply(int(code[1]), re.sub(rf" {code[1]}[ -]", " ", text[code.end() :]), "")
    status = _STATUS.search(text)
    if status is not None:
        return parse_reply(int(status[1]) * 100 + 50, text[status.start() :], "")
    return None

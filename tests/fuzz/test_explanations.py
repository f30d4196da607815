"""No text that somebody pastes brings an explanation down, or makes it take long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.provider_settings import SmtpSettings
from relay.diagnosis.causes import causes
from relay.reply import parse_reply
from relay.transfer.explanation import explanation_of, said_before_mail
from relay.transfer.pasted import explanation_of_text, upstream_meant
from tests.unit.transfer.test_pasted import PASTED

FRAGMENTS = st.sampled_from([text for text, _ in PASTED])
ODD = st.sampled_from(
    ["535 ", "5.7.3", "-", "AADSTS", "334 ", "eyJzdGF0dXMiOiI0MDEi", "HOST", "{mailbox}", "\x00", "\r\n"]
)
TEXTS = st.lists(st.one_of(st.text(max_size=40), FRAGMENTS, ODD), max_size=6).map("".join)
UPSTREAMS = {"isp": SmtpSettings(host="mail.isp.test"), "m365": SmtpSettings(host="smtp.office365.com")}


@given(TEXTS)
def test_any_text(text: str) -> None:
    found = explanation_of_text(text, UPSTREAMS.values(), {})
    if found is None:
        return
    assert found.diagnosis.key in {cause.key for cause in causes()}
    assert found.diagnosis.steps
    assert upstream_meant(text, found.diagnosis, UPSTREAMS) in {None, *UPSTREAMS}


@given(st.integers(200, 599), TEXTS)
def test_any_reply(code: int, text: str) -> None:
    said = parse_reply(code, text, "mx.provider.test")
    for upstream in UPSTREAMS.values():
        for deferred in (True, False):
            assert explanation_of(said, upstream, {}, deferred=deferred).diagnosis.cause
    said_before_mail(said, "smtp")


@pytest.mark.parametrize("filler", [" ", "5.7.3 ", "invalid_grant ", "530-5", "A", '"schemes"', "SPF ", "454 4.7.0 x"])
def test_a_whole_log(filler: str) -> None:
    began = time.process_time()
    explanation_of_text((filler * 200_000)[:400_000], UPSTREAMS.values(), {})
    assert time.process_time() - began < 2

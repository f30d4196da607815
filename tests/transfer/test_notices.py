"""Bounces and other notices, on their way through the queue."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from relay.envelope import DsnReturn, Notify
from relay.upstream.contract import Phase
from tests.transfer.actor import CONNECTION_REFUSED, Actor, ends, final, said, taken, taken_with_dsn
from tests.transfer.stage import Stage, notify, parsed, settings_of, until

SMTP = {"type": "smtp", "host": "mx.provider.test"}
GMAIL = {"type": "gmail", "username": "clinic@gmail.com", "app_password": {"env": "X"}}
NO = final(550, "5.7.1 Rejected")
QUIET = 0.3
"""Seconds that are long enough for what must not happen."""


async def test_gmail_and_microsoft_get_the_mailbox_for_a_reverse_path(tmp_path: Path) -> None:
    actor = Actor("gmail", NO)
    async with Stage(tmp_path, settings_of(tmp_path, {"gmail": GMAIL}), actor) as stage:
        await stage.put("a@far.test")
        await until(lambda: len(actor.offers) == 2, "the bounce")
        bounce = actor.offers[1]
        assert str(bounce.envelope.reverse_path) == "clinic@gmail.com"
        assert parsed(bounce)["From"].addresses[0].addr_spec == "clinic@gmail.com"
        assert parsed(bounce)["Auto-Submitted"] == "auto-replied"


async def test_a_bounce_that_fails_is_the_end(tmp_path: Path) -> None:
    actor = Actor("isp", always=NO)
    settings = settings_of(tmp_path, {"isp": SMTP}, client={"failures_to": ("reception@clinic.test",)})
    async with Stage(tmp_path, settings, actor) as stage:
        await stage.put("a@far.test")
        await until(lambda: len(actor.offers) == 2, "the bounce")
        await asyncio.sleep(QUIET)
        assert len(actor.offers) == 2
        assert await stage.queue() == []


async def test_a_null_reverse_path_is_never_bounced(tmp_path: Path) -> None:
    actor = Actor("isp", NO)
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put(notify("a@far.test", Notify.FAILURE | Notify.DELAY | Notify.SUCCESS), sender=None)
        await stage.settled(id_, "failed")
        await asyncio.sleep(QUIET)
        assert len(actor.offers) == 1


async def test_failures_to_hears_too(tmp_path: Path) -> None:
    actor = Actor("isp", NO)
    settings = settings_of(tmp_path, {"isp": SMTP}, client={"failures_to": ("reception@clinic.test",)})
    async with Stage(tmp_path, settings, actor) as stage:
        await stage.put("a@far.test")
        await until(lambda: len(actor.offers) == 2, "the bounce")
        told = {str(one.forward_path) for one in actor.offers[1].envelope.recipients}
        assert told == {"app@clinic.test", "reception@clinic.test"}
        assert all(one.notify == Notify.NEVER for one in actor.offers[1].envelope.recipients)


async def test_the_mailbox_itself_is_not_told(tmp_path: Path) -> None:
    actor = Actor("gmail", NO)
    settings = settings_of(tmp_path, {"gmail": GMAIL}, alerts={"to": ("it@clinic.test",)})
    async with Stage(tmp_path, settings, actor) as stage:
        await stage.put("a@far.test", sender="clinic@gmail.com")
        await until(lambda: len(actor.offers) == 2, "the bounce")
        assert [str(one.forward_path) for one in actor.offers[1].envelope.recipients] == ["it@clinic.test"]


async def test_all_of_the_message_comes_back_where_it_was_asked_for(tmp_path: Path) -> None:
    actor = Actor("isp", NO)
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        await stage.put("a@far.test", dsn_return=DsnReturn.FULL, envelope_id="id+2B1")
        await until(lambda: len(actor.offers) == 2, "the bounce")
        assert b"Secret body" in actor.offers[1].octets
        assert b"Original-Envelope-Id: id+1\r\n" in actor.offers[1].octets


@pytest.mark.parametrize(("refusal", "offers"), [("552 5.3.4 Too large", 3), ("550 5.1.1 No such user", 2)])
async def test_a_notice_refused_for_what_it_returns_goes_once_more_without(
    tmp_path: Path, refusal: str, offers: int
) -> None:
    code, _, text = refusal.partition(" ")
    actor = Actor("isp", NO, final(int(code), text))
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        await stage.put("a@far.test", dsn_return=DsnReturn.FULL)
        await until(lambda: len(actor.offers) == offers, "the notices")
        await asyncio.sleep(QUIET)
        assert len(actor.offers) == offers
        assert [b"Secret body" in offer.octets for offer in actor.offers] == [True, True, False][:offers]
        assert b"Subject: Results" in actor.offers[-1].octets
        assert actor.offers[-1].envelope.reverse_path is None
        assert [str(one.forward_path) for one in actor.offers[-1].envelope.recipients] == ["app@clinic.test"]


@pytest.mark.parametrize(
    "refusal",
    [
        "550 Sender address is not allowed",
        "553 5.7.1 <>: Sender address rejected: not owned by user clinic@isp.test",
        "501 5.1.7 Bad sender address",
        "530 5.7.0 Authentication required",
    ],
)
async def test_where_a_login_may_not_send_as_nobody_a_notice_goes_as_the_login(tmp_path: Path, refusal: str) -> None:
    code, _, text = refusal.partition(" ")
    actor = Actor("isp", NO, ends(Phase.MAIL, said(int(code), text)))
    isp = SMTP | {"username": "clinic@isp.test", "password": {"env": "X"}}
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": isp}), actor) as stage:
        await stage.put("a@far.test")
        await until(lambda: len(actor.offers) == 3, "the bounce")
        await asyncio.sleep(QUIET)
        assert [str(offer.envelope.reverse_path) for offer in actor.offers[1:]] == ["None", "clinic@isp.test"]
        assert parsed(actor.offers[2])["From"].addresses[0].addr_spec == "clinic@isp.test"
        assert len(actor.offers) == 3
        assert await stage.queue() == []


async def test_the_header_of_a_large_message_comes_back(tmp_path: Path) -> None:
    actor = Actor("isp", NO)
    content = b"From: app@clinic.test\r\nSubject: Scan\r\n\r\n" + b"x" * 76 * 40000 + b"\r\n"
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        await stage.put("a@far.test", dsn_return=DsnReturn.FULL, content=content)
        await until(lambda: len(actor.offers) == 2, "the bounce")
        assert b"Subject: Scan" in actor.offers[1].octets
        assert len(actor.offers[1].octets) < 10_000


@pytest.mark.parametrize(("line", "notices"), [(taken, 1), (taken_with_dsn, 0)])
async def test_success_is_told_where_the_upstream_does_not(tmp_path: Path, line: object, notices: int) -> None:
    actor = Actor("isp", taken if line is taken else taken_with_dsn)
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put(notify("a@far.test", Notify.SUCCESS, "rfc822;A@far.test"), "b@far.test")
        await stage.settled(id_, "relayed", "relayed")
        await asyncio.sleep(QUIET)
        assert len(actor.offers) == 1 + notices
        for offer in actor.offers[1:]:
            assert b"Action: relayed" in offer.octets
            assert b"Original-Recipient: rfc822;A@far.test" in offer.octets
            assert b"b@far.test" not in offer.octets


async def test_a_delay_is_told_once(tmp_path: Path) -> None:
    actor = Actor("isp", *[ends(Phase.DATA, said(451, "4.3.0 Later"))] * 4)
    settings = settings_of(tmp_path, {"isp": SMTP}, queue={"delay_notice": 3600.0})
    async with Stage(tmp_path, settings, actor) as stage:
        id_ = await stage.put(notify("a@far.test", Notify.DELAY), age=3599.8, give_up=7200.0)
        await stage.settled(id_, "relayed")
        await asyncio.sleep(QUIET)
        notices = {parsed(offer)["Message-ID"] for offer in actor.offers if b"Action: delayed" in offer.octets}
        assert len(notices) == 1


async def test_time_that_is_over_is_told_with_the_last_reply(tmp_path: Path) -> None:
    actor = Actor("isp", final(451, "4.3.0 Later"), final(452, "4.3.1 Disk full"), final(452, "4.3.1 Disk full"))
    async with Stage(tmp_path, settings_of(tmp_path, {"isp": SMTP}), actor) as stage:
        id_ = await stage.put("a@far.test", give_up=0.25)
        await stage.settled(id_, "failed")
        await until(lambda: len(actor.offers) == 4, "three attempts and the bounce")
        assert b"Status: 4.4.7" in actor.offers[3].octets
        assert b"Diagnostic-Code: smtp; 452 4.3.1 Disk full" in actor.offers[3].octets


async def test_a_bounce_goes_by_the_next_upstream_where_its_own_is_down(tmp_path: Path) -> None:
    down, other = Actor("gmail", always=CONNECTION_REFUSED), Actor("other")
    settings = settings_of(tmp_path, {"gmail": GMAIL, "other": SMTP})
    async with Stage(tmp_path, settings, down, other) as stage:
        await stage.put("a@far.test", give_up=0.2)
        await until(lambda: len(other.offers) == 1, "the bounce")
        assert other.offers[0].envelope.reverse_path is None


@pytest.mark.parametrize("sender", [None, "clinic@gmail.com"])
async def test_nobody_is_told_of_another_relays_notice(tmp_path: Path, sender: str | None) -> None:
    actor = Actor("isp", NO)
    settings = settings_of(tmp_path, {"isp": SMTP}, client={"failures_to": ("reception@clinic.test",)})
    report = b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x--\r\n"
    async with Stage(tmp_path, settings, actor) as stage:
        await stage.settled(await stage.put("a@far.test", sender=sender, content=report), "failed")
        await asyncio.sleep(QUIET)
        assert len(actor.offers) == 1


async def test_failures_to_hears_of_what_had_no_sender(tmp_path: Path) -> None:
    actor = Actor("isp", NO)
    settings = settings_of(tmp_path, {"isp": SMTP}, client={"failures_to": ("reception@clinic.test",)})
    async with Stage(tmp_path, settings, actor) as stage:
        await stage.put("a@far.test", sender=None)
        await until(lambda: len(actor.offers) == 2, "the notice")
        assert [str(one.forward_path) for one in actor.offers[1].envelope.recipients] == ["reception@clinic.test"]

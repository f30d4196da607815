from __future__ import annotations

import pytest

from relay.address import Mailbox
from relay.envelope import Notify
from relay.spool.records import RecipientState, Settlement, SpooledMessage, SpooledRecipient
from relay.transfer.dsn import Customs, Finding, NoticeKind, delay_due, notices_due, sender_told
from tests.unit.transfer.made import ACCEPTED_AT, HOUR, mailbox, message, row, said

NO, OK = said("550 5.1.1 No"), said("250 2.0.0 Ok")
FAILED, DELAYED, RELAYED = NoticeKind.FAILED, NoticeKind.DELAYED, NoticeKind.RELAYED
RECEPTION, IT = mailbox("reception@clinic.test"), mailbox("it@clinic.test")


def _failed(found: SpooledRecipient) -> tuple[Settlement, Finding]:
    return Settlement(found.position, RecipientState.FAILED, "failed", NO), Finding(found, NO, NO)


def _relayed(found: SpooledRecipient) -> tuple[Settlement, Finding]:
    return Settlement(found.position, RecipientState.RELAYED, "relayed", OK), Finding(found, OK, OK)


def _delayed(found: SpooledRecipient) -> tuple[Settlement, Finding]:
    return Settlement(found.position, RecipientState.QUEUED, "deferred", NO, delay_told=True), Finding(found, NO, NO)


def _told(
    about: SpooledMessage,
    *settled: tuple[Settlement, Finding],
    customs: Customs = Customs(),  # noqa: B008 - frozen
) -> list[tuple[NoticeKind, list[str], list[int]]]:
    return [
        (notice.kind, [str(one) for one in notice.to], [finding.row.position for finding in notice.findings])
        for notice in notices_due(about, settled, customs)
    ]


@pytest.mark.parametrize(
    ("notify", "kinds"),
    [
        (None, {FAILED}),
        (Notify.NEVER, set()),
        (Notify.FAILURE, {FAILED}),
        (Notify.DELAY, {DELAYED}),
        (Notify.SUCCESS, {RELAYED}),
        (Notify.SUCCESS | Notify.FAILURE | Notify.DELAY, {FAILED, DELAYED, RELAYED}),
    ],
)
def test_notify_decides_what_the_sender_hears(notify: Notify | None, kinds: set[NoticeKind]) -> None:
    assert {kind for kind in NoticeKind if sender_told(kind, notify)} == kinds
    found = row(notify=notify)
    told = [*_told(message(), _failed(found)), *_told(message(), _delayed(found)), *_told(message(), _relayed(found))]
    assert {kind for kind, _, _ in told} == kinds
    assert all(to == ["app@clinic.test"] for _, to, _ in told)


def test_one_notice_of_a_kind_names_all_its_recipients() -> None:
    rows = [row(f"{at}@far.test", at, notify=Notify.SUCCESS | Notify.FAILURE) for at in range(4)]
    settled = [_failed(rows[0]), _relayed(rows[1]), _failed(rows[2]), _relayed(rows[3])]
    assert _told(message(), *settled) == [
        (FAILED, ["app@clinic.test"], [0, 2]),
        (RELAYED, ["app@clinic.test"], [1, 3]),
    ]


def test_a_notice_never_causes_a_notice() -> None:
    every = Notify.SUCCESS | Notify.FAILURE | Notify.DELAY
    about = message(notice=True)
    customs = Customs(failures_to=(RECEPTION,), alerts_to=(IT,))
    settled = [_failed(row(notify=every)), _relayed(row(notify=every)), _delayed(row(notify=every))]
    assert _told(about, *settled, customs=customs) == []


def test_the_null_reverse_path_is_never_told() -> None:
    every = row(notify=Notify.SUCCESS | Notify.FAILURE | Notify.DELAY)
    assert _told(message(None), _failed(every), _relayed(every), _delayed(every)) == []


def test_failures_to_hears_besides_the_sender() -> None:
    customs = Customs(failures_to=(RECEPTION,))
    assert _told(message(), _failed(row()), customs=customs) == [
        (FAILED, ["app@clinic.test", "reception@clinic.test"], [0])
    ]


def test_failures_to_hears_also_what_the_sender_does_not_want_to() -> None:
    customs = Customs(failures_to=(RECEPTION,))
    never = row("n@far.test", 1, notify=Notify.NEVER)
    assert _told(message(), _failed(row()), _failed(never), customs=customs) == [
        (FAILED, ["app@clinic.test"], [0]),
        (FAILED, ["reception@clinic.test"], [0, 1]),
    ]
    assert _told(message(None), _failed(row()), customs=customs) == [(FAILED, ["reception@clinic.test"], [0])]


def test_failures_to_hears_of_failures_only() -> None:
    customs = Customs(failures_to=(RECEPTION,))
    every = row(notify=Notify.SUCCESS | Notify.DELAY)
    told = _told(message(), _relayed(every), _delayed(every), customs=customs)
    assert [to for _, to, _ in told] == [["app@clinic.test"]] * 2


def test_the_sender_is_not_told_twice() -> None:
    customs = Customs(failures_to=(mailbox("APP@clinic.test"), RECEPTION))
    assert _told(message(), _failed(row()), customs=customs) == [
        (FAILED, ["app@clinic.test", "reception@clinic.test"], [0])
    ]


OWN = Customs(alerts_to=(IT,), own_mailboxes=frozenset({"app@clinic.test"}))


def test_a_mailbox_that_nobody_reads_is_not_told() -> None:
    assert _told(message(), _failed(row()), customs=OWN) == [(FAILED, ["it@clinic.test"], [0])]
    customs = Customs((RECEPTION,), (IT,), own_mailboxes=OWN.own_mailboxes)
    assert _told(message("App@Clinic.test"), _failed(row()), customs=customs) == [
        (FAILED, ["reception@clinic.test"], [0])
    ]
    assert _told(message(), _failed(row()), customs=Customs(own_mailboxes=OWN.own_mailboxes)) == []
    assert _told(message(), _failed(row(notify=Notify.NEVER)), customs=OWN) == []
    assert _told(message(), _relayed(row(notify=Notify.SUCCESS)), customs=OWN) == []


def test_success_is_told_only_where_nobody_else_does() -> None:
    wanted = row(notify=Notify.SUCCESS)
    assert _told(message(), _relayed(wanted), customs=Customs(dsn_taken_over=True)) == []
    assert _told(message(), _relayed(wanted), customs=Customs(receipts=False)) == []
    assert _told(message(), _failed(row()), customs=Customs(dsn_taken_over=True, receipts=False)) != []


def test_a_receipt_goes_where_answers_are_read() -> None:
    wanted = row(notify=Notify.SUCCESS | Notify.FAILURE)
    customs = Customs(receipts_to=RECEPTION)
    assert _told(message(), _relayed(wanted), customs=customs) == [(RELAYED, ["reception@clinic.test"], [0])]
    assert _told(message(), _failed(wanted), customs=customs) == [(FAILED, ["app@clinic.test"], [0])]
    assert _told(message(), _relayed(row()), customs=customs) == [], "nobody asked"
    assert _told(message(None), _relayed(wanted), customs=customs) == []


def test_who_asked_for_a_receipt_hears_of_failures_where_the_sender_is_not_read() -> None:
    wanted = row(notify=Notify.SUCCESS | Notify.FAILURE)
    customs = Customs(alerts_to=(IT,), own_mailboxes=OWN.own_mailboxes, receipts_to=RECEPTION)
    assert _told(message(), _failed(wanted), customs=customs) == [(FAILED, ["reception@clinic.test"], [0])]
    themselves = Customs(alerts_to=(IT,), own_mailboxes=OWN.own_mailboxes, receipts_to=mailbox("app@clinic.test"))
    assert _told(message(), _failed(wanted), customs=themselves) == [(FAILED, ["it@clinic.test"], [0])]
    assert _told(message(), _relayed(wanted), customs=themselves) == [(RELAYED, ["app@clinic.test"], [0])]


@pytest.mark.parametrize(
    ("notify", "hours", "told_before", "sender", "due"),
    [
        (Notify.DELAY, 4, False, "app@clinic.test", True),
        (Notify.DELAY | Notify.FAILURE, 5, False, "app@clinic.test", True),
        (Notify.DELAY, 3.99, False, "app@clinic.test", False),
        (Notify.DELAY, 5, True, "app@clinic.test", False),
        (Notify.DELAY, 5, False, None, False),
        (Notify.FAILURE, 5, False, "app@clinic.test", False),
        (None, 5, False, "app@clinic.test", False),
    ],
)
def test_delays_are_told_once_to_who_asked(
    notify: Notify | None, hours: float, told_before: bool, sender: str | None, due: bool
) -> None:
    found = row(notify=notify, delay_told=told_before)
    assert delay_due(message(sender), found, ACCEPTED_AT + round(hours * HOUR), 4 * 3600.0) is due


def test_a_notice_that_is_late_is_not_told_of() -> None:
    found = row(notify=Notify.DELAY)
    assert not delay_due(message(notice=True), found, ACCEPTED_AT + 5 * HOUR, 4 * 3600.0)


@pytest.mark.parametrize(("failures_to", "told"), [
    ((), [(FAILED, ["app@clinic.test"], [0]), (FAILED, ["it@clinic.test"], [1])]),
    ((RECEPTION,), [(FAILED, ["app@clinic.test"], [0]), (FAILED, ["reception@clinic.test"], [0, 1])]),
])  # fmt: skip
def test_the_sender_never_hears_of_an_archive(
    failures_to: tuple[Mailbox, ...], told: list[tuple[NoticeKind, list[str], list[int]]]
) -> None:
    customs = Customs(failures_to, (IT,), archive=frozenset({"archive@clinic.test"}))
    patient, copy = row("a@far.test", 0), row("archive@clinic.test", 1, notify=Notify.NEVER)
    assert _told(message(), _failed(patient), _failed(copy), customs=customs) == told
    assert _told(message(), _failed(row("archive@clinic.test", 1)), customs=customs)[0][1][0] == "app@clinic.test"

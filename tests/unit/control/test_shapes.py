"""Records as the JSON that is promised."""

import dataclasses

import pytest

from relay.address import Mailbox
from relay.config.settings import Settings
from relay.control.shapes import instant, queue_detail_shape, queue_shape, trace_shape
from relay.control.trial import trial_content, trial_sender
from relay.envelope import Body, Origin, Recipient
from relay.reply import reply
from relay.spool.records import (
    Priority,
    QueueEntry,
    RecipientState,
    SpooledMessage,
    SpooledRecipient,
    TraceEntry,
    TraceEvent,
)

MESSAGE = SpooledMessage(
    id="06H0",
    origin=Origin("submission", "clinic", "10.0.0.1", "app"),
    reverse_path=Mailbox("a", "clinic.test"),
    body=Body.SEVEN_BIT,
    smtputf8=False,
    envelope_id=None,
    dsn_return=None,
    header_from="a@clinic.test",
    message_id="<1@clinic.test>",
    size=100,
    eight_bit=False,
    priority=Priority.NORMAL,
    accepted_at=1_700_000_000_123,
)


def row(
    position: int, state: RecipientState, *, attempts: int = 1, next_at: int = 0, said: str = ""
) -> SpooledRecipient:
    return SpooledRecipient(
        position=position,
        recipient=Recipient(Mailbox(f"p{position}", "example.test")),
        state=state,
        upstream="isp" if state is RecipientState.HELD else "office365",
        candidates=("office365", "isp"),
        attempts=attempts,
        uncertain=0,
        next_attempt_at=next_at,
        give_up_at=0,
        reply=reply(451, "4.3.0", said) if said else None,
    )


QUEUED, IN_FLIGHT, HELD = RecipientState.QUEUED, RecipientState.IN_FLIGHT, RecipientState.HELD


@pytest.mark.parametrize(
    ("states", "state", "upstream"),
    [
        ([QUEUED], "queued", "office365"),
        ([HELD, QUEUED], "queued", "office365"),
        ([QUEUED, IN_FLIGHT, HELD], "in_flight", "office365"),
        ([HELD, HELD], "held", "isp"),
    ],
)
def test_of_several_recipients_the_liveliest_counts(states: list[RecipientState], state: str, upstream: str) -> None:
    entry = QueueEntry(MESSAGE, tuple(row(position, each) for position, each in enumerate(states)))
    shape = queue_shape(entry)
    assert (shape["state"], shape["upstream"]) == (state, upstream)
    assert len(shape["recipients"]) == len(states)


def test_a_message_of_the_queue() -> None:
    rows = (
        row(0, QUEUED, attempts=3, next_at=1_700_000_060_000, said="Later"),
        row(1, QUEUED, next_at=1_700_000_070_000),
    )
    assert queue_shape(QueueEntry(MESSAGE, rows)) == {
        "id": "06H0",
        "client": "clinic",
        "upstream": "office365",
        "state": "queued",
        "sender": "a@clinic.test",
        "from": "a@clinic.test",
        "recipients": ["p0@example.test", "p1@example.test"],
        "size": 100,
        "attempts": 3,
        "accepted": "2023-11-14T22:13:20.123Z",
        "next_attempt": "2023-11-14T22:14:20.000Z",
        "reply": "451 4.3.0 Later",
    }
    assert [each["attempts"] for each in queue_detail_shape(QueueEntry(MESSAGE, rows))["recipient_details"]] == [3, 1]


def test_a_null_reverse_path_is_shown_as_smtp_writes_it() -> None:
    bounce = dataclasses.replace(MESSAGE, reverse_path=None)
    assert queue_shape(QueueEntry(bounce, (row(0, QUEUED),)))["sender"] == "<>"


def test_a_traced_message() -> None:
    event = TraceEvent(1_700_000_001_000, "relayed", "p0@example.test", "isp", reply(250, "2.0.0", "Ok"))
    shape = trace_shape(TraceEntry(MESSAGE, (row(0, RecipientState.RELAYED),), (event,)))
    assert shape["events"] == [
        {
            "time": "2023-11-14T22:13:21.000Z",
            "event": "relayed",
            "recipient": "p0@example.test",
            "upstream": "isp",
            "reply": "250 2.0.0 Ok",
        }
    ]
    assert shape["states"] == {"p0@example.test": "relayed"}


def test_no_instant_is_null() -> None:
    assert instant(None) is None


SETTINGS = Settings.model_validate(
    {
        "hostname": "relay.clinic.test",
        "client": {
            "a": {"networks": ["10.0.0.0/8"], "upstream": "isp", "senders": ["@clinic.test", "lab@clinic.test"]},
            "b": {"networks": ["10.0.0.0/8"], "upstream": "other"},
        },
        "upstream": {
            "isp": {"type": "smtp", "host": "mail.isp.test"},
            "other": {"type": "smtp", "host": "mail.other.test"},
            "gmail": {"type": "gmail", "username": "clinic@gmail.com", "app_password": {"env": "P"}},
        },
    }
)


@pytest.mark.parametrize(
    ("upstream", "sender"),
    [("gmail", "clinic@gmail.com"), ("isp", "lab@clinic.test"), ("other", "relay@relay.clinic.test")],
)
def test_whom_a_test_message_is_from(upstream: str, sender: str) -> None:
    assert trial_sender(SETTINGS, upstream) == sender


def test_a_test_message_is_a_whole_message() -> None:
    content = trial_content("relay.clinic.test", "isp", Mailbox("a", "b.test"), Mailbox("c", "d.test"), "06H0")
    head, _, body = content.partition(b"\r\n\r\n")
    fields = {line.partition(b":")[0] for line in head.split(b"\r\n")}
    assert {b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version"} <= fields
    assert body.endswith(b"\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")

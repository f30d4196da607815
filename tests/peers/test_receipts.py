"""Receipts with a server that writes them itself: a real Postfix delivers, and tells of it."""

import smtplib
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.rig.postfix import Postfix
from tests.rig.relay import RelayProcess
from tests.rig.waiting import wait_until
from tests.scenario.test_commands import asked

pytestmark = pytest.mark.peer

SENDER, RECEPTION, PATIENT = "dr@clinic.test", "reception@clinic.test", "patient@far.test"


def receipts(postfix: Postfix) -> list[tuple[str, str]]:
    """Who got a delivery report in the maildir, and its action."""
    found = []
    for octets in postfix.delivered():
        message = message_from_bytes(octets, policy=policy.default)
        if message.get_content_type() == "multipart/report":
            status = next(part for part in message.walk() if part.get_content_type() == "message/delivery-status")
            fields = [group for group in status.get_payload() if "Action" in group]
            assert len(fields) == 1
            found.append((message["Delivered-To"], str(fields[0]["Action"])))  # type: ignore[index]
    return found


@pytest.mark.parametrize(
    ("reply_to", "receipt"), [(None, (SENDER, "delivered")), (RECEPTION, (RECEPTION, "relayed"))], ids=["its", "ours"]
)
def test_each_receipt_arrives_once(tmp_path: Path, reply_to: str | None, receipt: tuple[str, str]) -> None:
    with Postfix() as postfix:
        settings = {
            "listener": {"submission": {"security": "none"}},
            "client": {"incisive": {"networks": ["127.0.0.0/8"], "upstream": "provider"}},
            "upstream": {"provider": {"type": "smtp", "host": "127.0.0.1", "port": postfix.port, "security": "none"}},
        }
        with RelayProcess(tmp_path, settings) as relay:
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = SENDER, PATIENT, "Referral"
            message["Disposition-Notification-To"] = SENDER
            if reply_to is not None:
                message["Reply-To"] = f"Reception <{reply_to}>"
            message.set_content("See attached.\n")
            with smtplib.SMTP("127.0.0.1", relay.port(), timeout=30) as connection:
                connection.send_message(message, SENDER, [PATIENT], rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
            postfix.wait_for(2)
            wait_until(lambda: not asked(relay, "queue", "list"), "nothing to wait any more")
            wait_until(lambda: len(postfix.delivered()) >= 2, "the report")
            assert receipts(postfix) == [receipt]
            assert len(postfix.delivered()) == 2

from __future__ import annotations

import pytest

from relay.transfer.automatic import is_notice
from tests.transfer.stage import mailbox

DSN = b'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="x"\r\n'
SENDER = "app@clinic.test"


@pytest.mark.parametrize(
    ("header", "sender", "notice"),
    [
        (DSN, "", True),
        (DSN, SENDER, True),
        (b"content-TYPE: Multipart/Report; Report-Type=Delivery-Status; boundary=x\r\n", SENDER, True),
        (b"Content-Type: multipart/report; report-type=disposition-notification; boundary=x\r\n", SENDER, False),
        (b"Content-Type: multipart/mixed; boundary=x\r\n", "", False),
        (b"Auto-Submitted: auto-generated\r\n", "", True),
        (b"Auto-Submitted: auto-replied; by=x\r\n", "", True),
        (b"Auto-Submitted: NO\r\n", "", False),
        (b"Auto-Submitted: auto-generated\r\n", SENDER, False),
        (b"Subject: Result\r\n", "", False),
        (b"Subject: Result\r\n\r\n" + DSN, "", False),
        (b"\r\nAuto-Submitted: auto-replied\r\n", "", False),
        (b"", "", False),
        (b"\xff\xfe: \xff\r\nAuto-Submitted\r\n: what\r\n", "", False),
    ],
)
def test_is_notice(header: bytes, sender: str, notice: bool) -> None:
    assert is_notice(header, mailbox(sender) if sender else None) is notice

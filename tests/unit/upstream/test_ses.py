"""Amazon SES: the SMTP password of an access key, what the account tells, and how the API's words become replies."""

from __future__ import annotations

import base64

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from relay.upstream.contract import Phase
from relay.upstream.ses_account import Pace, SesAccount
from relay.upstream.ses_password import smtp_password
from relay.upstream.ses_replies import ApiRefusal, reply_to


@pytest.mark.parametrize("region", ["ap-southeast-2", "us-gov-west-1", "eusc-de-east-1"])
def test_the_password_is_what_botocore_would_sign(region: str) -> None:
    # The password is version 4's signature of one fixed text on one fixed day.
    request = AWSRequest("GET", "https://x.test/")
    request.context["timestamp"] = "11111111T000000Z"
    key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    signature = SigV4Auth(Credentials("AKIA", key), "ses", region).signature("SendRawEmail", request)
    assert base64.b64decode(smtp_password(key, region)) == b"\x04" + bytes.fromhex(signature)


ANSWER = {
    "ProductionAccessEnabled": True,
    "SendingEnabled": True,
    "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 199.0},
}


@pytest.mark.parametrize(
    ("changes", "told", "refusal"),
    [
        ({}, "199 of 200 recipients in 24 hours, 1 a second", ""),
        ({"ProductionAccessEnabled": False}, "199 of 200 recipients in 24 hours, 1 a second, in the sandbox", ""),
        ({"SendingEnabled": False}, "199 of 200 recipients in 24 hours, 1 a second", "554 Sending paused"),
        (
            {"SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.5, "SentLast24Hours": 200.0}},
            "200 of 200 recipients in 24 hours, 1.5 a second",
            "454 Throttling failure: Daily message quota exceeded",
        ),
        (
            {"SendQuota": {"Max24HourSend": -1.0, "MaxSendRate": 500.0, "SentLast24Hours": 10.0}},
            "no daily limit, 500 a second",
            "",
        ),
        ({"SendQuota": None}, "no daily limit", ""),
    ],
)
def test_what_the_account_tells(changes: dict[str, object], told: str, refusal: str) -> None:
    account = SesAccount.of(ANSWER | changes)
    assert str(account) == told
    said = account.refusal("email.test")
    assert (str(said) if said else "").startswith(refusal)
    assert (said is None) is (refusal == "")


def test_the_pace_is_recipients_a_second() -> None:
    pace = Pace()
    assert [pace.wait(1, 2.0, 100.0) for _ in range(3)] == [0.0, 0.5, 1.0]
    assert pace.wait(10, 2.0, 200.0) == 0.0
    assert pace.wait(1, 2.0, 201.0) == 4.0
    assert pace.wait(1, 0.0, 201.0) == 0.0


@pytest.mark.parametrize(
    ("name", "message", "status", "phase", "begins"),
    [
        ("MessageRejected", "Email address is not verified.", 400, Phase.DONE, "554 Message rejected: Email address"),
        ("MessageRejected", "Message length is more than 41943040 bytes", 400, Phase.DONE, "552 Message is too long"),
        ("TooManyRequestsException", "Daily message quota exceeded.", 429, Phase.DONE, "454 Throttling failure: Daily"),
        ("ThrottlingException", "Rate exceeded", 400, Phase.DONE, "454 Throttling failure: Rate exceeded"),
        ("com.amazonaws.sesv2#BadRequestException", "no", 400, Phase.DONE, "554 Transaction failed: no"),
        ("NotFoundException", "Configuration set", 404, Phase.DONE, "554 Transaction failed: Configuration set"),
        ("ExpiredTokenException", "expired", 403, Phase.AUTH, "535 expired (ExpiredToken)"),
        ("SignatureDoesNotMatch", "no", 403, Phase.AUTH, "535 no (SignatureDoesNotMatch)"),
        ("InternalFailure", "", 500, Phase.DONE, "451 Temporary service failure:  (InternalFailure)"),
        ("Something", "new", 418, Phase.DONE, "554 Transaction failed: new (Something)"),
        ("AccessDeniedException", "a\r\nb", 403, Phase.DONE, "554 Access denied: a b"),
    ],
)
def test_an_answer_as_a_reply(name: str, message: str, status: int, phase: Phase, begins: str) -> None:
    reached, said = reply_to(ApiRefusal(name, message, status), "email.test")
    assert reached is phase
    assert str(said).startswith(begins)
    assert said.said_by == "email.test"

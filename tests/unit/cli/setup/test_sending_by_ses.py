"""What an AWS administrator is given: a policy for certain senders only, and the records of their domains."""

import json
import re

import pytest

from relay.cli.setup.dns_records import records_for
from relay.cli.setup.guidance import guidance_of, texts_of
from relay.cli.setup.iam_policy import policy_for

_VARIABLE = re.compile(r"\$\{([$*?])\}")


def allowed(policy: dict[str, object], sender: str) -> bool:
    """Whether IAM lets that user send with this From, as its manual says of conditions, patterns and variables."""
    statements = policy["Statement"]
    assert isinstance(statements, list)
    return any(_holds(each["Condition"], sender) for each in statements)


def _holds(condition: dict[str, dict[str, list[str]]], sender: str) -> bool:
    [(test, keys)] = condition.items()
    return any(re.fullmatch(_regex(value, patterns=test == "StringLike"), sender) for value in keys["ses:FromAddress"])


def _regex(value: str, *, patterns: bool) -> str:
    parts = re.split(r"(\$\{.*?\})", value)
    assert all(_VARIABLE.fullmatch(part) for part in parts[1::2]), f"an unknown variable: {value}"
    texts = [re.escape(_VARIABLE.sub(r"\1", part)) if number % 2 else part for number, part in enumerate(parts)]
    for number in range(0, len(texts), 2):
        escaped = re.escape(texts[number])
        texts[number] = escaped.replace(r"\*", ".*").replace(r"\?", ".") if patterns else escaped
    return "".join(texts)


@pytest.mark.parametrize(
    ("senders", "may", "may_not"),
    [
        (["a@clinic.test"], ["a@clinic.test"], ["b@clinic.test", "a@clinic.test.evil.test", "xa@clinic.test"]),
        (["@clinic.test"], ["a@clinic.test", "b@clinic.test"], ["a@evil.test", "a@north.clinic.test"]),
        (["a@x.test", "@y.test"], ["a@x.test", "b@y.test"], ["b@x.test"]),
        (["*@clinic.test"], ["*@clinic.test"], ["a@clinic.test"]),
        (["a?c@clinic.test"], ["a?c@clinic.test"], ["abc@clinic.test"]),
        (["${x}@clinic.test"], ["${x}@clinic.test"], ["@clinic.test"]),
        (["a$b@clinic.test"], ["a$b@clinic.test"], ["ab@clinic.test"]),
    ],
)
def test_the_policy_allows_these_senders_and_no_others(senders: list[str], may: list[str], may_not: list[str]) -> None:
    policy = policy_for("ap-southeast-2", "123456789012", senders)
    assert [sender for sender in may if not allowed(policy, sender)] == []
    assert [sender for sender in may_not if allowed(policy, sender)] == []


def test_the_policy_allows_sending_alone_and_for_these_identities() -> None:
    policy = policy_for("ap-southeast-2", "123456789012", ["a@Clinic.test", "@north.test"])
    for statement in policy["Statement"]:
        assert (statement["Effect"], statement["Action"]) == ("Allow", "ses:SendRawEmail")
        assert statement["Resource"] == [
            "arn:aws:ses:ap-southeast-2:123456789012:identity/clinic.test",
            "arn:aws:ses:ap-southeast-2:123456789012:identity/north.test",
            "arn:aws:ses:ap-southeast-2:123456789012:identity/a@Clinic.test",
        ]
    assert json.loads(json.dumps(policy)) == policy


@pytest.mark.parametrize(
    ("region", "start"),
    [
        ("eu-west-1", "arn:aws:ses:eu-west-1:*:"),
        ("us-gov-west-1", "arn:aws-us-gov:ses:us-gov-west-1:*:"),
        ("cn-north-1", "arn:aws-cn:ses:cn-north-1:*:"),
    ],
)
def test_the_policy_s_identities_are_of_the_region_s_partition(region: str, start: str) -> None:
    [statement] = policy_for(region, "", ["@clinic.test"])["Statement"]
    assert statement["Resource"] == [f"{start}identity/clinic.test"]


def test_the_records_of_a_domain() -> None:
    records = records_for(["Clinic.test"], "ap-southeast-2")
    assert len(records["dkim"]) == 3
    assert records["dkim"][0] == "TOKEN1._domainkey.clinic.test.  CNAME  TOKEN1.dkim.amazonses.com."
    assert records["mail_from"] == (
        "bounce.clinic.test.  MX   10 feedback-smtp.ap-southeast-2.amazonses.com.",
        'bounce.clinic.test.  TXT  "v=spf1 include:amazonses.com ~all"',
    )
    assert records["dmarc"] == ('_dmarc.clinic.test.  TXT  "v=DMARC1; p=none; rua=mailto:postmaster@clinic.test"',)


@pytest.mark.parametrize(
    ("provider", "holds"),
    [("ses", ""), ("gmail", "app_password"), ("gmail", "service_account"), ("gmail", "sign_in")],
)
def test_the_steps_can_be_filled_in(provider: str, holds: str) -> None:
    names = {"upstream": "mine", "username": "c@clinic.test", "mailbox": "c@clinic.test", "region": "eu-west-1"}
    steps = guidance_of(texts_of(provider)["step"], {holds}, names | {"secret": "relay secret set mine"})
    text = "\n".join(line for number, step in enumerate(steps, 1) for line in step.lines(number))
    assert "{" not in text
    assert text.rstrip().endswith("relay doctor mine")
    assert ("app password" in text) == (holds == "app_password")
    assert ("domain-wide delegation" in text) == (holds == "service_account")
    assert ("relay login mine" in text) == (holds == "sign_in")

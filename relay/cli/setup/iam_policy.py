"""The IAM policy with which SMTP credentials of Amazon SES send as certain addresses only. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def policy_for(region: str, account: str, senders: Iterable[str]) -> dict[str, Any]:
    """Return the policy for addresses and @domains, at least one; `account` is the AWS account's ID, or empty.

    Conditions: docs.aws.amazon.com/ses/latest/dg/control-user-access.html. SMTP needs ses:SendRawEmail alone.
    """
    named = list(senders)
    addresses = [_literal(sender) for sender in named if not sender.startswith("@")]
    domains = [f"*{_literal(sender)}" for sender in named if sender.startswith("@")]
    resources = _resources(region, account, named)
    statements = [
        _statement(name, resources, {test: {"ses:FromAddress": values}})
        for name, test, values in (
            ("RelaySendsAsAddresses", "StringEquals", addresses),
            ("RelaySendsAsDomains", "StringLike", domains),
        )
        if values
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(name: str, resources: list[str], condition: dict[str, Any]) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": resources, "Condition": condition}


def _resources(region: str, account: str, senders: list[str]) -> list[str]:
    """Return the identities that can stand behind the senders, of any account where that is not known.

    An address may be verified by itself, or with its domain.
    """
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    domains = [sender.rpartition("@")[2].lower() for sender in senders]
    addresses = [_literal(sender) for sender in senders if not sender.startswith("@")]
    return [
        f"arn:{partition}:ses:{region}:{account or '*'}:identity/{one}" for one in dict.fromkeys(domains + addresses)
    ]


def _literal(sender: str) -> str:
    """Write an address so that IAM takes no part of it for a variable or a pattern (IAM policy variables)."""
    return sender.replace("$", "${$}").replace("*", "${*}").replace("?", "${?}")

"""`relay setup ses`: what has to be done at AWS and in the DNS, with least privilege."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError, print_json, say
from relay.cli.setup.configured import check_now, configured, senders_of, sound
from relay.cli.setup.dns_records import records_for
from relay.cli.setup.guidance import guidance_of, say_steps, texts_of
from relay.cli.setup.iam_policy import policy_for
from relay.cli.setup.options import Check, SendAs, UpstreamName, id_option
from relay.config.ses_settings import SesSettings
from relay.diagnosis.names import names_of


def ses(
    context: typer.Context,
    upstream: UpstreamName = None,
    region: Annotated[str | None, typer.Option("--region", help="the AWS region, like ap-southeast-2")] = None,
    send_as: SendAs = None,
    account: Annotated[str, id_option("--account", "the AWS account, 12 digits")] = "",
    check: Check = False,
) -> int:
    """Say step by step what has to be done at AWS, with the DNS records and the IAM policy."""
    invocation = invocation_of(context)
    found = configured(invocation, upstream, SesSettings, "ses")
    where = sound("--region", "region", region) if region else (found.upstream.region if found.upstream else "")
    senders = [sound("--send-as", "senders", sender) for sender in send_as or ()] or list(senders_of(found))
    missing = [
        cure
        for there, cure in (
            (where, "--region: which AWS region? add it"),
            (
                senders,
                "--send-as: as which addresses is mail to be sent? add them, or senders of the client in relay.toml",
            ),
        )
        if not there
    ]
    if account and not re.fullmatch(r"[0-9]{12}", account):
        missing.append(f'--account: "{account:.40}" is no AWS account; write its 12 digits')
    if missing:
        raise CommandError(*missing, status=2)
    known = dict(names_of(found.name, found.upstream))
    names = {**known, "region": where, "secret": known.get("secret") or f"relay secret set {found.name}"}
    policy = policy_for(where, account, senders)
    domains = dict.fromkeys(sender.rpartition("@")[2] for sender in senders)
    blocks = {
        **records_for(domains, where),
        "policy": tuple(json.dumps(policy, indent=2, ensure_ascii=False).split("\n")),
    }
    names["sender"] = next(iter(senders)).removeprefix("@")
    steps = guidance_of(texts_of("ses")["step"], set(), names, blocks)
    if invocation.json and not check:
        print_json({"upstream": found.name, "steps": [step.shape() for step in steps], "policy": policy})
        return 0
    if not invocation.json:
        say(f"Upstream {found.name}, in {where}, sends as {', '.join(senders)}.")
        say()
        say_steps("Steps:", steps)
    return check_now(context, found, asked=check)

"""Upstreams, and what an examination of them may have seen."""

from __future__ import annotations

from typing import Any

from relay.address import parse_mailbox
from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.provider_settings import SmtpSettings
from relay.reply import parse_reply
from relay.upstream.contract import Cause, Phase
from relay.upstream.examination import Examination, Protection
from relay.upstream.extensions import Extensions
from relay.upstream.failures import ConversationEnded, reply_for
from relay.upstream.rehearsal import Rehearsal, Trial
from relay.upstream.token_claims import TokenClaims

MAILBOX = "no-reply@clinic.test"
APPLICATION = "66666666-7777-8888-9999-000000000000"
OBJECT_ID = "77777777-7777-8888-9999-000000000000"
ENDS_AT = 1_798_761_600_000

TOKEN = TokenClaims("https://outlook.office365.com", ("SMTP.SendAsApp",), expires_at=ENDS_AT, object_id=OBJECT_ID)


def office365(**more: Any) -> Microsoft365Settings:
    given = {
        "mailbox": MAILBOX,
        "tenant": "11111111-2222-3333-4444-555555555555",
        "client_id": APPLICATION,
        "credential": "client_secret",
        "client_secret": {"sealed": "office365"},
    }
    return Microsoft365Settings.model_validate(given | more)


def isp(**more: Any) -> SmtpSettings:
    return SmtpSettings.model_validate({"host": "mail.isp.test"} | more)


def rehearsal(*replies: str, sender: str = MAILBOX, cause: Cause | None = None) -> Rehearsal:
    trial_sender, recipient = parse_mailbox(sender), parse_mailbox(MAILBOX)
    assert recipient is not None
    said = tuple(parse_reply(int(text[:3]), text[4:], "upstream.test") for text in replies)
    return Rehearsal(Trial(trial_sender, recipient), said, cause)


WELCOME = rehearsal("250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.0.0 Ok")


def seen(**more: Any) -> Examination:
    """One in which all went well, but for `more`."""
    given: dict[str, Any] = {
        "addresses": ("203.0.113.5", "2001:db8::5"),
        "peer": "203.0.113.5",
        "secured": True,
        "protection": Protection("TLSv1.3", ("smtp.office365.com",), "An authority", ENDS_AT),
        "extensions": Extensions(frozenset({"AUTH"}), ("LOGIN", "XOAUTH2"), 157286400),
        "mechanism": "XOAUTH2",
        "username": MAILBOX,
        "token": TOKEN,
        "logged_in": True,
        "rehearsals": [WELCOME],
    }
    return Examination(**(given | more))


UNCONNECTED: dict[str, Any] = {
    "peer": "",
    "secured": False,
    "protection": None,
    "extensions": None,
    "mechanism": "",
    "logged_in": False,
    "rehearsals": [],
}


def ended(phase: Phase, cause: Cause | None = None, text: str = "") -> ConversationEnded:
    """The end of a conversation by a cause of ours, or by what the server said."""
    if cause is not None:
        return ConversationEnded(phase, reply_for(cause, phase, "smtp.office365.com"), cause)
    return ConversationEnded(phase, parse_reply(int(text[:3]), text[4:], "smtp.office365.com"))

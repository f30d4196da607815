"""Who may do what with Exchange Online's client submission."""

from __future__ import annotations

from collections.abc import Mapping

from relay.simulator.options import Options
from relay.simulator.provider import Allowance
from relay.simulator.tokens import Tokens


class Microsoft365:
    """Tokens only; a mailbox sends as itself, the first one as `may_send_as` too."""

    def __init__(self, options: Options, tokens: Tokens) -> None:
        self._tokens = tokens
        self._may_send_as = {options.mailbox.lower(): {address.lower() for address in options.may_send_as}}
        for mailbox in options.further_mailboxes:
            self._may_send_as.setdefault(mailbox.lower(), set())
        self._refuses_null = options.null_reverse_path == "refuse"
        self.allowance = Allowance(
            connections=options.connections,
            messages=options.messages_per_minute,
            recipients_per_day=options.recipients_per_day,
            delays=options.rate_excess == "delay",
        )
        self.bearer_challenge: Mapping[str, str] = {"status": "401", "schemes": "Bearer", "scope": "SMTP.SendAsApp"}

    def refuse_password(self, mechanism: str, login: str, password: str) -> str | None:
        """Refuse: Basic authentication is off."""
        return "basic_disabled"

    def refuse_token(self, login: str, token: str) -> str | None:
        """Refuse a token that isn't Entra's for this service, or that doesn't open this mailbox."""
        if login not in self._may_send_as or not self._tokens.opens_mailbox(token, login):
            return "auth_refused"
        return None

    def refuse_reverse_path(self, login: str, reverse_path: str) -> str | None:
        """Refuse `<>`; an address is judged with the message."""
        return "null_reverse_path" if not reverse_path and self._refuses_null else None

    def refuse_message(self, reverse_path: str, login: str, authors: tuple[str, ...]) -> str | None:
        """Refuse a sender that the mailbox may not send as."""
        allowed = {login} | self._may_send_as[login]
        senders = {*authors, reverse_path.lower()} - {""}
        return None if authors and senders <= allowed else "send_as_denied"

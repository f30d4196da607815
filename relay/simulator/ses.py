"""Who may do what with Amazon SES."""

from __future__ import annotations

from collections.abc import Mapping

from relay.simulator.options import Options
from relay.simulator.provider import Allowance


class Ses:
    """One pair of SMTP credentials; From and MAIL's address must be verified identities, addresses or `@domain`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._identities = tuple(identity.lower() for identity in options.ses_identities)
        self.allowance = Allowance(
            messages=options.ses_messages_per_second,
            period=1.0,
            recipients_per_day=options.ses_recipients_per_day,
        )
        self.bearer_challenge: Mapping[str, str] = {}

    def refuse_password(self, mechanism: str, login: str, password: str) -> str | None:
        """Refuse everything but the credentials."""
        same = login == self._options.ses_user.lower() and password == self._options.ses_password
        return None if same else "auth_refused"

    def refuse_token(self, login: str, token: str) -> str | None:
        """Refuse every token."""
        return "auth_refused"

    def refuse_reverse_path(self, login: str, reverse_path: str) -> str | None:
        """Refuse `<>`."""
        return "null_reverse_path" if not reverse_path and self._options.null_reverse_path == "refuse" else None

    def refuse_message(self, reverse_path: str, login: str, authors: tuple[str, ...]) -> str | None:
        """Refuse a sender that isn't verified."""
        senders = {*authors, reverse_path.lower()} - {""}
        return None if authors and all(self._verified(sender) for sender in senders) else "not_verified"

    def _verified(self, sender: str) -> bool:
        return sender in self._identities or "@" + sender.rpartition("@")[2] in self._identities

"""Who may do what with Gmail's submission."""

from __future__ import annotations

from collections.abc import Mapping

from relay.simulator.google import GoogleAuthority
from relay.simulator.options import Options
from relay.simulator.provider import Allowance


class Gmail:
    """Users with tokens, one with an app password too, sixteen letters without blanks.

    From may be anything: Google rewrites it.
    """

    def __init__(self, options: Options, authority: GoogleAuthority) -> None:
        self._options = options
        self._authority = authority
        self.allowance = Allowance(
            messages=options.gmail_messages_per_day, period=24 * 3600.0, stage="mail", too_many="daily"
        )
        self.bearer_challenge: Mapping[str, str] = {
            "status": "400",
            "schemes": "Bearer",
            "scope": "https://mail.google.com/",
        }

    def refuse_password(self, mechanism: str, login: str, password: str) -> str | None:
        """Refuse everything but the app password, the account's own one with the advice to make one."""
        if login != self._options.gmail_user.lower():
            return "auth_refused"
        if password == self._options.gmail_password:
            return "app_password_required"
        return None if password == self._options.gmail_app_password else "auth_refused"

    def refuse_token(self, login: str, token: str) -> str | None:
        """Refuse a token that is not Google's, or not this user's."""
        return None if self._authority.opens_mailbox(token, login) else "auth_refused"

    def refuse_reverse_path(self, login: str, reverse_path: str) -> str | None:
        """Refuse `<>`."""
        return "null_reverse_path" if not reverse_path and self._options.null_reverse_path == "refuse" else None

    def refuse_message(self, reverse_path: str, login: str, authors: tuple[str, ...]) -> str | None:
        """Refuse nothing."""
        return None

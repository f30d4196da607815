"""Device codes waiting for somebody to sign in (RFC 8628)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_MOST = 1000
LIFETIME = 900


@dataclass(slots=True)
class DeviceCode:
    """One sign-in: `user` is set when it was approved, `declined` when it was not."""

    device_code: str
    user_code: str
    client_id: str
    scope: str
    expires_at: float
    user: str | None = None
    declined: bool = False


class DeviceCodes:
    """The sign-ins that are under way, by either code. `clock` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._codes: dict[str, DeviceCode] = {}

    def begin(self, client_id: str, scope: str) -> DeviceCode:
        """Make a pair of codes."""
        while len(self._codes) >= _MOST:
            self._codes.pop(next(iter(self._codes)))
        user_code = "".join(secrets.choice(_ALPHABET) for _ in range(9))
        code = DeviceCode(secrets.token_urlsafe(48), user_code, client_id, scope, self._clock() + LIFETIME)
        self._codes[code.device_code] = code
        return code

    def pending(self) -> tuple[DeviceCode, ...]:
        """Return those that nobody has answered yet."""
        now = self._clock()
        return tuple(
            code for code in self._codes.values() if code.user is None and not code.declined and code.expires_at > now
        )

    def approve(self, user_code: str, user: str) -> bool:
        """Sign in as `user`; False where there is no such code."""
        for code in self.pending():
            if code.user_code == user_code.strip().upper():
                code.user = user
                return True
        return False

    def decline(self, user_code: str) -> bool:
        """Refuse to sign in."""
        for code in self.pending():
            if code.user_code == user_code.strip().upper():
                code.declined = True
                return True
        return False

    def redeem(self, device_code: str, client_id: str) -> DeviceCode | str:
        """Return the sign-in that `device_code` stands for, once it is there, or OAuth's word for why not yet."""
        code = self._codes.get(device_code)
        if code is None or code.client_id != client_id:
            return "bad_verification_code"
        if code.expires_at <= self._clock():
            del self._codes[device_code]
            return "expired_token"
        if code.declined:
            del self._codes[device_code]
            return "authorization_declined"
        if code.user is None:
            return "authorization_pending"
        del self._codes[device_code]
        return code

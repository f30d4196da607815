"""AUTH as the providers conduct it: LOGIN, PLAIN, XOAUTH2, OAUTHBEARER (RFC 4954, RFC 4616, RFC 7628)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from relay.simulator.command import LIMITS
from relay.simulator.dialogue import Dialogue
from relay.simulator.provider import Rules

_XOAUTH2 = re.compile(r"user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01")
_OAUTHBEARER = re.compile(r"n,a=([^,]*),\x01(?:host=[^\x01]*\x01)?(?:port=\d*\x01)?auth=Bearer ([^\x01]*)\x01\x01")


@dataclass(frozen=True, slots=True)
class _Claim:
    login: str
    secret: str
    bearer: bool


class _GaveUp(Exception):  # noqa: N818
    """The exchange ended without credentials; args[0] names the reply."""


class Authentication:
    """The AUTH command of one conversation."""

    def __init__(self, dialogue: Dialogue, rules: Rules) -> None:
        self._dialogue = dialogue
        self._rules = rules

    async def conduct(self, argument: str) -> str | None:
        """Go through the exchange and say its last reply; returns the login that succeeded."""
        dialogue = self._dialogue
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if mechanism not in dialogue.provider.mechanisms:
            await dialogue.say("mechanism")
            return None
        fault = dialogue.due("auth_line", octets=len(argument) + 7) if initial else None
        if fault is not None and await dialogue.strike(fault):
            return None
        try:
            claim = await self._claim(mechanism, initial)
        except _GaveUp as gave_up:
            await dialogue.say(gave_up.args[0])
            return None
        return await self._judge(mechanism, claim)

    async def _judge(self, mechanism: str, claim: _Claim) -> str | None:
        dialogue, rules = self._dialogue, self._rules
        login = claim.login.lower()
        premises, name = dialogue.premises, dialogue.provider.name
        fault = premises.faults.take(name, "auth", (), login)
        if fault is not None and await dialogue.strike(fault):
            premises.failed_logins[name] += 1
            return None
        refusal = (
            rules.refuse_token(login, claim.secret)
            if claim.bearer
            else rules.refuse_password(mechanism, login, claim.secret)
        )
        if refusal is None:
            premises.logins[name] += 1
            await dialogue.say("auth_accepted")
            return login
        premises.failed_logins[name] += 1
        if claim.bearer:
            await self._explain(mechanism)
        await dialogue.say(refusal)
        return None

    async def _explain(self, mechanism: str) -> None:
        # RFC 7628 §3.2.2: the client must answer the JSON, with nothing (XOAUTH2) or ^A, before it hears the refusal.
        explanation = json.dumps(self._rules.bearer_challenge, separators=(",", ":")).encode()
        answer = await self._ask(base64.b64encode(explanation).decode())
        if answer not in ("", "*", "AQ=="):
            self._dialogue.premises.violate(
                self._dialogue.provider.name, f"{mechanism}: the 334 was not answered empty"
            )

    async def _claim(self, mechanism: str, initial: str) -> _Claim:
        if mechanism == "LOGIN":
            login = _decoded(initial or await self._answer("VXNlcm5hbWU6"))
            return _Claim(login, _decoded(await self._answer("UGFzc3dvcmQ6")), bearer=False)
        said = _decoded(initial or await self._answer(""))
        if mechanism == "PLAIN":
            parts = said.split("\0")
            if len(parts) != 3 or parts[0] not in ("", parts[1]):
                raise _GaveUp("auth_syntax")
            return _Claim(parts[1], parts[2], bearer=False)
        found = (_OAUTHBEARER if mechanism == "OAUTHBEARER" else _XOAUTH2).fullmatch(said)
        if mechanism not in ("XOAUTH2", "OAUTHBEARER") or found is None:
            raise _GaveUp("auth_syntax")
        return _Claim(found[1], found[2], bearer=True)

    async def _answer(self, challenge: str) -> str:
        answer = await self._ask(challenge)
        if answer == "*":
            raise _GaveUp("auth_cancelled")
        return answer

    async def _ask(self, challenge: str) -> str:
        await self._dialogue.say_text(f"334 {challenge}")
        line = await self._dialogue.read_line(LIMITS["AUTH"])
        if not line.endswith(b"\r\n"):
            raise _GaveUp("auth_syntax")
        return line[:-2].decode("ascii", "replace")


def _decoded(text: str) -> str:
    try:
        return base64.b64decode("" if text == "=" else text, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _GaveUp("auth_syntax") from error

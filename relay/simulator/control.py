"""The simulator's controls over HTTP, for rehearsals: failures on and off, what was received, tokens, sign-ins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relay.simulator.faults import ActiveFault, UnknownFault, known_faults
from relay.simulator.http_server import HttpServer, Request, Response
from relay.simulator.mailbox import ReceivedMessage

if TYPE_CHECKING:
    from relay.simulator.simulator import Simulator
    from relay.simulator.smtp_server import SmtpServer

HELP = """The controls of Relay's simulator
  GET    /state                    ports and counts
  GET    /faults                   what is switched on, and every failure by name
  POST   /faults                   {"name": "smtp_auth_disabled_tenant", "times": 3, "recipient": "*@far.test"}
  DELETE /faults, /faults/NAME     switch off all, or one
  GET    /messages                 what was received
  GET    /messages/ID              one message's content
  DELETE /messages                 forget them
  POST   /tokens/expire            every access token issued so far counts as expired
  POST   /tokens/revoke            everybody has to sign in again
  POST   /device                   {"user_code": "ABCDEFGHJ"}: sign in
  POST   /hangup                   cut all SMTP connections off
  POST   /close/NAME               microsoft365, gmail, ses, authority, aws: refuse connections
  POST   /reopen/NAME              ... and no longer
"""


class Control:
    """Answers the requests to the controls of one simulator; JSON in and out."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._steps: dict[tuple[str, str], Callable[[str, dict[str, Any]], Response]] = {
            ("GET", ""): lambda rest, said: Response(200, HELP.encode(), "text/plain; charset=utf-8"),
            ("GET", "state"): self._state,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._set_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "messages"): self._messages,
            ("DELETE", "messages"): self._clear_messages,
            ("POST", "tokens"): self._tokens,
            ("POST", "device"): self._device,
            ("POST", "hangup"): self._hang_up,
        }

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        head, _, rest = request.path.strip("/").partition("/")
        if request.method == "POST" and head in ("close", "reopen"):
            return await self._reach(head, rest)
        step = self._steps.get((request.method, head))
        if step is None:
            return _wrong(404, "no such control; GET / lists them")
        try:
            said = json.loads(request.body) if request.body else {}
        except ValueError:
            return _wrong(400, "the body must be JSON")
        if not isinstance(said, dict):
            return _wrong(400, "the body must be a JSON object")
        try:
            return step(rest, said)
        except UnknownFault as unknown:
            return _wrong(400, str(unknown))

    def _state(self, rest: str, said: dict[str, Any]) -> Response:
        simulator = self._simulator
        return Response.json(
            {
                "microsoft365": {"port": simulator.microsoft365.port},
                "gmail": {"port": simulator.gmail.port, "implicit_port": simulator.gmail.implicit_port},
                "ses": {"port": simulator.ses.port, "implicit_port": simulator.ses.implicit_port},
                "authority": simulator.authority_url,
                "aws": simulator.aws_url,
                "aws_metadata": simulator.aws_metadata_url,
                "ca_file": str(simulator.ca_file),
                "messages": simulator.received.total,
                "recipients": simulator.received.recipients_total,
                "token_requests": simulator.token_requests,
                "logins": simulator.logins,
                "failed_logins": simulator.failed_logins,
                "connections": dict(simulator.premises.connections),
                "violations": [asdict(violation) for violation in simulator.violations],
                "device_codes": [code.user_code for code in simulator.entra.device_codes.pending()],
            }
        )

    def _faults(self, rest: str, said: dict[str, Any]) -> Response:
        known = {name: {"provider": fault.provider, "stage": fault.stage} for name, fault in known_faults().items()}
        return Response.json({"active": [_shown_fault(one) for one in self._simulator.faults.active], "known": known})

    def _set_fault(self, rest: str, said: dict[str, Any]) -> Response:
        name = said.pop("name", rest)
        if not isinstance(name, str) or not name:
            return _wrong(400, "name is missing")
        return Response.json(_shown_fault(self._simulator.faults.set(name, **said)), 201)

    def _clear_faults(self, rest: str, said: dict[str, Any]) -> Response:
        return Response.json({"cleared": self._simulator.faults.clear(rest or None)})

    def _messages(self, rest: str, said: dict[str, Any]) -> Response:
        if not rest:
            return Response.json([_shown_message(message) for message in self._simulator.messages])
        for message in self._simulator.messages:
            if message.id == rest:
                return Response(200, message.content, "message/rfc822")
        return _wrong(404, "no such message")

    def _clear_messages(self, rest: str, said: dict[str, Any]) -> Response:
        count = len(self._simulator.messages)
        self._simulator.received.clear()
        return Response.json({"cleared": count})

    def _tokens(self, rest: str, said: dict[str, Any]) -> Response:
        if rest == "expire":
            return Response.json({"expired": self._simulator.tokens.expire() + self._simulator.google.expire()})
        if rest == "revoke":
            self._simulator.tokens.expire()
            self._simulator.google.expire()
            revoked = self._simulator.entra.revoke_refresh_tokens() + self._simulator.google.revoke_refresh_tokens()
            return Response.json({"revoked": revoked})
        return _wrong(404, "expire or revoke")

    def _device(self, rest: str, said: dict[str, Any]) -> Response:
        user = str(said.get("user") or self._simulator.mailbox)
        if not self._simulator.entra.device_codes.approve(str(said.get("user_code", "")), user):
            return _wrong(404, "no such user_code is waiting")
        return Response.json({"signed_in": user})

    async def _reach(self, head: str, name: str) -> Response:
        if name not in ("microsoft365", "gmail", "ses", "authority", "aws"):
            return _wrong(404, "microsoft365, gmail, ses, authority or aws")
        found = self._simulator.aws.server if name == "aws" else getattr(self._simulator, name)
        server: SmtpServer | HttpServer = found
        if head == "close":
            await server.close()
        else:
            try:
                server.reopen()
            except OSError as error:
                return _wrong(409, error.strerror or "the port is taken")
        return Response.json({"name": name, "reachable": head == "reopen"})

    def _hang_up(self, rest: str, said: dict[str, Any]) -> Response:
        simulator = self._simulator
        servers = (simulator.microsoft365, simulator.gmail, simulator.ses)
        return Response.json({"cut_off": sum(server.hang_up() for server in servers)})


def _wrong(status: int, why: str) -> Response:
    return Response.json({"error": why}, status)


def _shown_fault(active: ActiveFault) -> dict[str, object]:
    fault = active.fault
    return {
        "name": fault.name,
        "provider": fault.provider,
        "stage": fault.stage,
        "action": fault.action,
        "times_left": active.left,
        "taken": active.taken,
        "recipient": fault.recipient,
        "login": fault.login,
        "reply": fault.reply,
    }


def _shown_message(message: ReceivedMessage) -> dict[str, object]:
    return {
        "id": message.id,
        "provider": message.provider,
        "login": message.login,
        "helo": message.helo,
        "tls": message.tls,
        "reverse_path": message.reverse_path,
        "parameters": dict(message.mail_parameters),
        "recipients": [
            {"forward_path": one.forward_path, "parameters": dict(one.parameters)} for one in message.recipients
        ],
        "size": message.size,
        "sha256": message.stored.sha256,
        "received_at": message.received_at,
        "answered": message.answered,
    }

"""Programs that clinics' applications are built on deliver through every kind of listener with every mechanism."""

import time
import uuid
from pathlib import Path

import pytest

from tests.peers.conftest import LISTENERS, Practice, password_of
from tests.rig.clients import CLIENTS, Client, Submission, Submitted
from tests.rig.message import SENDER, trace_above


def _clients() -> list[object]:
    """Each client with each mechanism it knows; only Python's own needs nothing unpacked."""
    return [
        pytest.param(
            client,
            mechanism,
            id=f"{client}-{mechanism}",
            marks=[] if client.name == "smtplib" else pytest.mark.peer,
        )
        for client in CLIENTS
        for mechanism in client.mechanisms
    ]


def _submit(
    practice: Practice,
    client: Client,
    security: str,
    mechanism: str | None,
    message: Path,
    recipient: str,
    password: str,
) -> Submitted:
    return client.submit(
        Submission(
            message=message,
            port=practice.relay.port(security),
            sender=SENDER,
            recipients=(recipient,),
            security=security,
            mechanism=mechanism,
            username=f"{client.name}-user",
            password=password,
            authority=practice.authority(security),
        )
    )


@pytest.mark.parametrize("security", LISTENERS)
@pytest.mark.parametrize(("client", "mechanism"), _clients())
def test_delivers_byte_for_byte(
    practice: Practice, message: Path, client: Client, mechanism: str, security: str
) -> None:
    recipient = f"{uuid.uuid4().hex}@example.test"

    submitted = _submit(practice, client, security, mechanism, message, recipient, password_of(client.name))

    assert submitted.status == 0, submitted.output
    transaction = practice.wait_for(recipient)
    assert transaction.sender.startswith(f"<{SENDER}>")
    trace = trace_above(transaction.content, submitted.content)
    assert trace.startswith(b"Received: ")
    assert trace.count(b"\r\n") == trace.count(b"\r\n\t") + trace.count(b"\r\n ") + 1, f"more than one field: {trace!r}"
    assert f"{client.name}-user".encode() not in trace


@pytest.mark.parametrize("security", LISTENERS)
@pytest.mark.parametrize(("client", "mechanism"), _clients())
def test_wrong_password_is_refused_at_once(
    practice: Practice, message: Path, client: Client, mechanism: str, security: str
) -> None:
    recipient = f"{uuid.uuid4().hex}@example.test"
    started = time.monotonic()

    submitted = _submit(practice, client, security, mechanism, message, recipient, "wrong")

    assert submitted.status != 0, submitted.output
    assert "535" in submitted.output, submitted.output
    assert "5.7.8" in submitted.output, submitted.output
    assert time.monotonic() - started < 15
    assert not practice.arrived(recipient)


@pytest.mark.parametrize("security", LISTENERS)
@pytest.mark.parametrize(
    "client", [pytest.param(c, id=str(c), marks=[] if c.name == "smtplib" else pytest.mark.peer) for c in CLIENTS]
)
def test_without_login_nothing_is_relayed(practice: Practice, message: Path, client: Client, security: str) -> None:
    recipient = f"{uuid.uuid4().hex}@example.test"

    submitted = _submit(practice, client, security, None, message, recipient, "")

    assert submitted.status != 0, submitted.output
    assert "530" in submitted.output, submitted.output
    assert not practice.arrived(recipient)

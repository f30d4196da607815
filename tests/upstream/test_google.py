"""Google's tokens: a service account that acts for a mailbox, and a user's refresh token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from relay.upstream.google_tokens import TOKEN_URL, google_purpose
from tests.upstream.clinic import Clinic

USER = 'username = "clinic@gmail.test"\napp_password = { env = "SIMULATOR_GMAIL_APP_PASSWORD" }'


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with Simulator() as simulator:
        yield Clinic(tmp_path, simulator)


@pytest.fixture
async def workspace(clinic: Clinic) -> Clinic:
    """Logs in by a service account."""
    text = await asyncio.to_thread(clinic.simulator.google.service_account)
    (clinic.folder / "google.json").write_text(text)
    clinic.replaced[USER] = 'service_account = { file = "google.json" }\nmailbox = "clinic@gmail.test"'
    return clinic


@pytest.fixture
def person(clinic: Clinic) -> Clinic:
    """Logs in by a refresh token."""
    google, options = clinic.simulator.google, clinic.simulator.options
    clinic.environ |= {"SECRET": options.google_client_secret, "REFRESH": google.refresh_token("clinic@gmail.test")}
    clinic.replaced[USER] = f"""username = "clinic@gmail.test"
client_id = "{options.google_client_id}"
client_secret = {{ env = "SECRET" }}
refresh_token = {{ env = "REFRESH" }}
authority = "{google.url}" """
    return clinic


@pytest.fixture(params=["workspace", "person"])
def either(request: pytest.FixtureRequest) -> Clinic:
    """Logs in by one and the other."""
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Clinic)
    return made


async def test_many_at_once_ask_for_one_token(either: Clinic) -> None:
    upstream = either.upstream("gmail")
    assert upstream.token_expires_at is None
    sent = await asyncio.gather(*(either.sent(upstream) for _ in range(8)))
    assert [said.phase for said in sent] == [Phase.DONE] * 8
    assert either.simulator.google.requests == 1
    assert upstream.token_expires_at is not None
    await upstream.aclose()


async def test_a_token_outlives_the_authority_and_a_restart(either: Clinic) -> None:
    assert (await either.sent_once("gmail")).phase is Phase.DONE
    either.simulator.faults.set("google_down")
    assert (await either.sent_once("gmail")).phase is Phase.DONE
    assert either.simulator.google.requests == 1


async def test_a_token_that_gmail_refuses_is_replaced_once(either: Clinic) -> None:
    assert (await either.sent_once("gmail")).phase is Phase.DONE
    either.simulator.google.expire()
    assert (await either.sent_once("gmail")).phase is Phase.DONE
    assert either.simulator.google.requests == 2


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("google_down", "cannot be reached"),
        ("google_503", "answered HTTP 503; to be asked again in 2 s"),
        ("google_internal_failure", "Backend Error (internal_failure)"),
    ],
)
async def test_an_authority_that_is_not_well(either: Clinic, fault: str, text: str) -> None:
    either.simulator.faults.set(fault)
    said = await either.sent_once("gmail")
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)
    assert said.reply
    assert text in said.reply.text
    either.simulator.faults.clear()
    assert (await either.sent_once("gmail")).phase is Phase.DONE


async def test_a_service_account_without_delegation(workspace: Clinic) -> None:
    google = workspace.simulator.google
    text = await asyncio.to_thread(google.service_account, delegated=False)
    (workspace.folder / "google.json").write_text(text)
    said = await workspace.sent_once("gmail")
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert said.reply.text.endswith("(unauthorized_client)")
    # What the administrator corrects is seen at once.
    (workspace.folder / "google.json").write_text(await asyncio.to_thread(google.service_account))
    assert (await workspace.sent_once("gmail")).phase is Phase.DONE


async def test_a_key_that_was_deleted(workspace: Clinic) -> None:
    await asyncio.to_thread(workspace.simulator.google.service_account)
    said = await workspace.sent_once("gmail")
    assert said.reply
    assert said.reply.text == "Invalid JWT Signature. (invalid_grant)"


async def test_a_mailbox_that_does_not_exist(workspace: Clinic) -> None:
    workspace.replaced[USER] = workspace.replaced[USER].replace("clinic@gmail.test", "nobody@gmail.test")
    said = await workspace.sent_once("gmail")
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert said.reply.text == "Invalid email or User ID (invalid_grant)"


@pytest.mark.parametrize("content", ["", "{}", None])
async def test_a_service_account_that_cannot_be_read(workspace: Clinic, content: str | None) -> None:
    file = workspace.folder / "google.json"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    said = await workspace.sent_once("gmail")
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)
    assert said.reply
    assert "google.json" in said.reply.text


async def test_a_service_accounts_own_token_endpoint_is_asked(workspace: Clinic) -> None:
    account = json.loads((workspace.folder / "google.json").read_text())
    (workspace.folder / "google.json").write_text(json.dumps(account | {"token_uri": "https://127.0.0.1:9/token"}))
    said = await workspace.sent_once("gmail")
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)
    workspace.replaced[USER] += f'\nauthority = "{account["token_uri"]}"'
    assert (await workspace.sent_once("gmail")).phase is Phase.DONE


async def test_a_sign_in_that_was_revoked(person: Clinic) -> None:
    google = person.simulator.google
    google.revoke_refresh_tokens()
    said = await person.sent_once("gmail")
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert said.reply.text == "Token has been expired or revoked. (invalid_grant)"
    person.environ["REFRESH"] = google.refresh_token("clinic@gmail.test")
    assert (await person.sent_once("gmail")).phase is Phase.DONE


async def test_a_wrong_client_secret(person: Clinic) -> None:
    person.environ["SECRET"] = "another"
    said = await person.sent_once("gmail")
    assert said.reply
    assert said.reply.text == "The provided client secret is invalid. (invalid_client)"
    del person.environ["SECRET"]
    said = await person.sent_once("gmail")
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)


async def test_a_token_of_another_user_is_refused(person: Clinic) -> None:
    person.environ["REFRESH"] = person.simulator.google.refresh_token("another@gmail.test")
    said = await person.sent_once("gmail")
    assert said.phase is Phase.AUTH
    assert said.reply
    assert said.reply.code == 535
    assert person.simulator.google.requests == 2


async def test_what_a_token_is_for(person: Clinic, tmp_path: Path) -> None:
    assert TOKEN_URL == "https://oauth2.googleapis.com/token"
    first = google_purpose(person.settings.upstream["gmail"])  # type: ignore[arg-type]
    person.environ["REFRESH"] = "another"
    assert google_purpose(person.settings.upstream["gmail"]) == first  # type: ignore[arg-type]
    person.replaced[USER] = person.replaced[USER].replace("clinic@", "other@")
    assert google_purpose(person.settings.upstream["gmail"]) != first  # type: ignore[arg-type]

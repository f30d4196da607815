"""Google's tokens: a service account that acts for a mailbox, and a user's refresh token."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from relay.config.provider_settings import GmailSettings
from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded
from relay.upstream.google_tokens import TOKEN_URL, google_purpose
from relay.upstream.loopback_login import LoopbackLogin
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


async def test_an_authority_that_sends_us_elsewhere(either: Clinic) -> None:
    async with Simulator() as elsewhere:
        either.simulator.faults.set("google_503", status=307, headers={"Location": elsewhere.google.url})
        said = await either.sent_once("gmail")
        assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_UNAVAILABLE)
        assert said.reply
        assert said.reply.text.endswith("answered HTTP 307")
        assert elsewhere.google.requests == 0


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


@pytest.fixture
def browser(person: Clinic) -> Clinic:
    """Somebody is to sign in with a browser."""
    person.replaced[USER] = person.replaced[USER].replace('refresh_token = { env = "REFRESH" }', "")
    return person


def login_of(clinic: Clinic) -> LoopbackLogin:
    table = clinic.settings.upstream["gmail"]
    assert isinstance(table, GmailSettings)
    return LoopbackLogin("gmail", table, clinic.secrets)


def opened(clinic: Clinic, url: str, **options: Any) -> requests.Response:
    """What a browser gets."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, verify=str(clinic.simulator.ca_file), timeout=10, **options)


async def test_signing_in_with_a_browser(browser: Clinic) -> None:
    said = await browser.sent_once("gmail")
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert said.reply.text == "Nobody has signed in yet; type: relay login gmail"
    with contextlib.closing(login_of(browser)) as login:
        waiting = asyncio.create_task(asyncio.to_thread(login.wait, io.StringIO(), 10.0))
        page = await asyncio.to_thread(opened, browser, login.url)
        assert "close this window" in page.text
        assert await waiting
    assert (await browser.sent_once("gmail")).phase is Phase.DONE
    assert browser.simulator.google.requests == 1
    browser.simulator.google.expire()
    assert (await browser.sent_once("gmail")).phase is Phase.DONE, "the refresh token is kept"
    assert browser.simulator.google.requests == 2
    state = browser.settings.state_dir
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"1//0" not in kept


async def test_an_address_that_is_pasted(browser: Clinic) -> None:
    with contextlib.closing(login_of(browser)) as login:
        redirected = await asyncio.to_thread(opened, browser, login.url, allow_redirects=False)
        reading, writing = os.pipe()
        # A line that nobody asked for changes nothing.
        os.write(writing, f"http://[\nwhat?\n{redirected.headers['Location']}\n".encode())
        os.close(writing)
        with os.fdopen(reading) as typed:
            assert await asyncio.to_thread(login.wait, typed, 5.0)
    assert (await browser.sent_once("gmail")).phase is Phase.DONE


async def test_a_person_who_declines(browser: Clinic) -> None:
    browser.simulator.google.users.clear()
    with contextlib.closing(login_of(browser)) as login:
        waiting = asyncio.create_task(asyncio.to_thread(login.wait, io.StringIO(), 10.0))
        await asyncio.to_thread(opened, browser, login.url)
        with pytest.raises(ConversationEnded, match="access_denied"):
            await waiting


async def test_what_comes_back_with_another_state(browser: Clinic) -> None:
    with contextlib.closing(login_of(browser)) as login, contextlib.closing(login_of(browser)) as another:
        redirected = await asyncio.to_thread(opened, browser, another.url, allow_redirects=False)
        port = urlsplit(parse_qs(urlsplit(login.url).query)["redirect_uri"][0]).port
        stray = urlsplit(redirected.headers["Location"])._replace(netloc=f"127.0.0.1:{port}").geturl()
        waiting = asyncio.create_task(asyncio.to_thread(login.wait, io.StringIO(), 0.5))
        await asyncio.to_thread(opened, browser, stray)
        assert not await waiting
    assert browser.simulator.google.requests == 0


async def test_what_a_token_is_for(person: Clinic, tmp_path: Path) -> None:
    assert TOKEN_URL == "https://oauth2.googleapis.com/token"
    first = google_purpose(person.settings.upstream["gmail"])  # type: ignore[arg-type]
    person.environ["REFRESH"] = "another"
    assert google_purpose(person.settings.upstream["gmail"]) == first  # type: ignore[arg-type]
    person.replaced[USER] = person.replaced[USER].replace("clinic@", "other@")
    assert google_purpose(person.settings.upstream["gmail"]) != first  # type: ignore[arg-type]

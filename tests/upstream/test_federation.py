"""Assertions of another issuer in place of a secret: Kubernetes' projected token, AWS's, what a command prints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.simulator.federation import AUDIENCE, Issuer
from relay.simulator.simulator import Simulator
from relay.upstream.contract import Cause, Phase
from tests.upstream.clinic import Clinic

SUBJECT = "system:serviceaccount:mail:relay"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def clinic(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Clinic]:
    async with Simulator() as simulator:
        simulator.entra.federation.trust(issuer, SUBJECT)
        made = Clinic(tmp_path, simulator)
        (tmp_path / "token").write_text(issuer.assertion(SUBJECT))
        made.with_credential('credential = "federated"\nassertion = { file = "token" }')
        yield made


async def test_a_file_and_its_replacement(clinic: Clinic, issuer: Issuer) -> None:
    upstream = clinic.upstream()
    assert (await clinic.sent(upstream)).phase is Phase.DONE
    # The cluster has a new key and writes a new token; the old one is worth nothing.
    clinic.simulator.entra.federation.clear()
    another = Issuer(issuer.url)
    clinic.simulator.entra.federation.trust(another, SUBJECT)
    (clinic.folder / "token").write_text(another.assertion(SUBJECT) + "\n")
    clinic.simulator.tokens.expire()
    clinic.simulator.microsoft365.hang_up()
    assert (await clinic.sent(upstream)).phase is Phase.DONE
    assert clinic.simulator.token_requests == 2
    await upstream.aclose()


async def test_a_command(clinic: Clinic) -> None:
    clinic.replaced['credential = "client_secret"'] = (
        f'credential = "federated"\nassertion = {{ command = ["cat", "{clinic.folder}/token"] }}'
    )
    assert (await clinic.sent_once()).phase is Phase.DONE


@pytest.mark.parametrize(
    ("subject", "audience", "code"),
    [
        ("system:serviceaccount:mail:other", AUDIENCE, "AADSTS700213"),
        (SUBJECT, "sts.amazonaws.com", "AADSTS700212"),
    ],
)
async def test_an_assertion_that_entra_refuses(
    clinic: Clinic, issuer: Issuer, subject: str, audience: str, code: str
) -> None:
    (clinic.folder / "token").write_text(issuer.assertion(subject, audience=audience))
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.TOKEN, Cause.TOKEN_REFUSED)
    assert said.reply
    assert code in said.reply.text
    (clinic.folder / "token").write_text(issuer.assertion(SUBJECT))
    assert (await clinic.sent_once()).phase is Phase.DONE


async def test_an_issuer_that_entra_does_not_trust(clinic: Clinic, issuer: Issuer) -> None:
    for stranger, code in ((Issuer("https://issuer.far.test"), "AADSTS700211"), (Issuer(issuer.url), "AADSTS50013")):
        (clinic.folder / "token").write_text(stranger.assertion(SUBJECT))
        said = await clinic.sent_once()
        assert said.reply
        assert code in said.reply.text


@pytest.mark.parametrize("content", ["", "word", None])
async def test_no_assertion(clinic: Clinic, content: str | None) -> None:
    if content is None:
        (clinic.folder / "token").unlink()
    else:
        (clinic.folder / "token").write_text(content)
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)
    assert said.reply
    assert "token: " in said.reply.text


async def test_an_assertion_that_has_ended_is_not_shown_to_anybody(clinic: Clinic, issuer: Issuer) -> None:
    (clinic.folder / "token").write_text(issuer.assertion(SUBJECT, lifetime=-1))
    said = await clinic.sent_once()
    assert (said.phase, said.cause) == (Phase.SECRET, Cause.SECRET_UNAVAILABLE)
    assert said.reply
    assert "the JWT ended at" in said.reply.text
    assert clinic.simulator.token_requests == 0

"""Direct delivery between programs and servers that we did not write."""

import smtplib
from pathlib import Path

import pytest

from tests.rig.authority import TokenAuthority
from tests.rig.certificate import Leaf
from tests.rig.clients import CLIENTS, Client, Submission
from tests.rig.dovecot import DovecotSubmission
from tests.rig.message import RECIPIENT, SENDER, clinic_message, trace_above
from tests.rig.postfix import Postfix
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.toml import Value

pytestmark = pytest.mark.peer


def _settings(upstream: dict[str, Value]) -> dict[str, Value]:
    return {
        "listener": {"submission": {"security": "none"}},
        "client": {"careright": {"networks": ["127.0.0.0/8"], "upstream": "provider", "delivery": "direct"}},
        "upstream": {"provider": upstream},
    }


@pytest.mark.parametrize("client", [one for one in CLIENTS if one.name in {"swaks", "curl", "msmtp"}], ids=str)
def test_a_client_hears_postfix(tmp_path: Path, message: Path, client: Client) -> None:
    with Postfix() as postfix:
        upstream: dict[str, Value] = {"type": "smtp", "host": "127.0.0.1", "port": postfix.port, "security": "none"}
        with RelayProcess(tmp_path / "relay", _settings(upstream)) as relay:
            told = client.submit(Submission(message, relay.port(), SENDER, (RECIPIENT,)))
            assert told.status == 0, told.output
            assert "250 2.0.0 Ok: queued as " in told.output
            (line,) = relay.wait_for_event("relayed")
            assert f"({line['id']})" in told.output
            (arrived,) = postfix.wait_for(1)
            trace_above(arrived, told.content)

            relay.command("queue", "hold", "--upstream", "provider")
            refused = client.submit(Submission(message, relay.port(), SENDER, (RECIPIENT,)))
            assert refused.status != 0
            assert "451" in refused.output
            assert len(postfix.delivered()) == 1


def test_dovecot_answers_an_application_that_knows_no_tokens(leaf: Leaf, tmp_path: Path) -> None:
    with (
        TokenAuthority(leaf) as authority,
        ScriptedServer() as beyond,
        DovecotSubmission(leaf=leaf, authority=authority, relay_port=beyond.port) as dovecot,
    ):
        upstream: dict[str, Value] = {
            "type": "microsoft365",
            "mailbox": authority.options.mailbox,
            "tenant": authority.options.tenant,
            "client_id": authority.options.client_id,
            "credential": "client_secret",
            "client_secret": {"env": "CLIENT_SECRET"},
            "authority": authority.url,
            "host": "localhost",
            "port": dovecot.port,
            "ca_file": str(leaf.authority),
        }
        environ = {"CLIENT_SECRET": authority.options.client_secret}
        with RelayProcess(tmp_path, _settings(upstream), environ) as relay:
            with smtplib.SMTP("127.0.0.1", relay.port(), timeout=60) as connection:
                assert connection.sendmail(SENDER, [RECIPIENT], clinic_message()) == {}
            (transaction,) = beyond.wait_for(1)
            trace_above(transaction.content, clinic_message())
            beyond.script.always("BODY", "554 5.7.1 The message looks like spam")
            with smtplib.SMTP("127.0.0.1", relay.port(), timeout=60) as connection:
                with pytest.raises(smtplib.SMTPDataError) as refused:
                    connection.sendmail(SENDER, [RECIPIENT], clinic_message(attachment=100))
                assert refused.value.smtp_code == 554
                assert b"looks like spam" in refused.value.smtp_error

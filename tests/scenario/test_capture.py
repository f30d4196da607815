"""`relay capture`: a training system's mail, looked at and taken away as files."""

import contextlib
import json
import mailbox
import os
import smtplib
from email import message_from_bytes, message_from_string
from email.utils import parseaddr
from pathlib import Path

import pytest

from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until
from tests.scenario.conftest import StartRelay
from tests.scenario.test_commands import asked, refused

BODY = "From the laboratory:\r\n>From a quote\r\n..a dot\r\nGr\u00fc\u00dfe \x1b[31m\r\n"


@pytest.fixture
def kept(start_relay: StartRelay) -> tuple[RelayProcess, list[str]]:
    """A relay whose client's mail is kept, and the IDs of the three messages that came."""
    relay = start_relay(
        {
            "listener": {"submission": {"security": "none"}},
            "client": {"training": {"networks": ["127.0.0.0/8"], "upstream": "sandbox"}},
            "upstream": {"sandbox": {"type": "capture"}},
        }
    )
    ids = []
    with smtplib.SMTP("127.0.0.1", relay.port(), timeout=10) as client:
        for number in range(3):
            text = f"From: lab@clinic.test\r\nSubject: Result {number}\r\n\r\n{BODY}".encode()
            client.ehlo()
            client.mail("lab@clinic.test", ["BODY=8BITMIME"])
            client.rcpt(f"patient{number}@example.test")
            client.rcpt("gp@example.test")
            code, said = client.data(text)
            assert code == 250
            ids.append(said.decode().rpartition(" ")[2])
    wait_until(lambda: len(asked(relay, "capture", "list")) == 3, "the mail to be kept")
    return relay, ids


def test_what_is_kept_is_listed(kept: tuple[RelayProcess, list[str]]) -> None:
    relay, ids = kept
    listed = asked(relay, "capture", "list")
    assert [entry["id"] for entry in listed] == ids
    assert listed[1]["recipients"] == ["patient1@example.test", "gp@example.test"]
    assert {entry["upstream"] for entry in listed} == {"sandbox"}
    assert {entry["sender"] for entry in listed} == {"lab@clinic.test"}
    assert [entry["id"] for entry in asked(relay, "capture", "list", "--to", "Patient2@example.test")] == ids[2:]
    assert len(asked(relay, "capture", "list", "--since", "1h")) == 3
    assert asked(relay, "capture", "list", "--since", "0s") == []
    assert "no upstream that captures; there are: sandbox" in refused(
        relay, "capture", "list", "--upstream", "office365", status=2
    )


def test_a_message_is_shown_as_the_recipient_would_have_got_it(kept: tuple[RelayProcess, list[str]]) -> None:
    relay, ids = kept
    [shown] = asked(relay, "capture", "show", ids[0])
    assert shown["content"].endswith(f"\r\n\r\n{BODY}")
    text = relay.command("capture", "show", ids[0]).stdout
    assert "from <lab@clinic.test> to patient0@example.test, gp@example.test" in text.splitlines()[0]
    assert "Subject: Result 0" in text
    assert "not kept here" in refused(relay, "capture", "show", "nothing", status=1)


def test_mail_programs_open_what_is_exported(kept: tuple[RelayProcess, list[str]], tmp_path: Path) -> None:
    relay, ids = kept
    eml = tmp_path / "eml"
    assert asked(relay, "capture", "export", str(eml))["messages"] == 3
    assert sorted(path.name for path in eml.iterdir()) == sorted(f"{one}.eml" for one in ids)
    kept_files = sorted((relay.state_dir / "capture" / "sandbox" / "new").iterdir())
    assert {path.read_bytes() for path in eml.iterdir()} == {path.read_bytes() for path in kept_files}
    box = tmp_path / "training.mbox"
    assert asked(relay, "capture", "export", str(box), "--to", "patient1@example.test")["messages"] == 1
    assert asked(relay, "capture", "export", str(tmp_path / "all.mbox"))["messages"] == 3
    assert oct(box.stat().st_mode & 0o777) == "0o600"
    with contextlib.closing(mailbox.mbox(tmp_path / "all.mbox")) as found:
        opened = [message_from_bytes(one.as_bytes()) for one in found]
    assert [one["Subject"] for one in opened] == ["Result 0", "Result 1", "Result 2"]
    body = opened[0].get_payload(decode=True)
    assert isinstance(body, bytes)
    quoted = ">From the laboratory:\n>>From a quote\n..a dot\nGr\u00fc\u00dfe \x1b[31m\n"
    assert body.decode().rstrip("\n") + "\n" == quoted


def test_an_export_replaces_no_file(kept: tuple[RelayProcess, list[str]], tmp_path: Path) -> None:
    relay, _ = kept
    box = tmp_path / "training.mbox"
    box.write_text("something else")
    assert "File exists; name another place" in refused(relay, "capture", "export", str(box), status=1)
    assert box.read_text() == "something else"


def test_a_mail_program_may_have_read_it_and_an_envelope_may_be_lost(kept: tuple[RelayProcess, list[str]]) -> None:
    relay, ids = kept
    folder = relay.state_dir / "capture" / "sandbox"
    first, second, _ = sorted((folder / "new").iterdir())
    os.rename(first, folder / "cur" / f"{first.name}:2,S")
    (folder / "envelope" / f"{second.name}.json").write_text("{")
    listed = asked(relay, "capture", "list")
    assert [entry["id"] for entry in listed] == ids
    assert [len(entry["recipients"]) for entry in listed] == [2, 0, 2]


def test_nothing_is_kept_before_something_came(start_relay: StartRelay) -> None:
    relay = start_relay({"upstream": {"sandbox": {"type": "capture"}}})
    assert json.loads(relay.command("capture", "list", "--json").stdout) == []


def test_notices_about_kept_mail_are_kept_too(start_relay: StartRelay) -> None:
    with ScriptedServer() as provider:
        relay = start_relay(
            {
                "listener": {"submission": {"security": "none"}},
                "client": {"training": {"networks": ["127.0.0.0/8"], "upstream": "sandbox"}},
                "upstream": {
                    "sandbox": {"type": "capture"},
                    "isp": {"type": "smtp", "host": "127.0.0.1", "port": provider.port, "security": "none"},
                },
                "alerts": {"to": ["it@clinic.test"], "upstream": "isp"},
            }
        )
        folder = relay.state_dir / "capture" / "sandbox"
        with smtplib.SMTP("127.0.0.1", relay.port(), timeout=10) as client:
            client.ehlo()
            client.mail("lab@clinic.test")
            client.rcpt("patient@example.test", ["NOTIFY=SUCCESS"])
            assert client.data(b"Subject: Result\r\n\r\nx\r\n")[0] == 250
        wait_until(lambda: len(asked(relay, "capture", "list")) == 2, "the message and its notice to be kept")
        assert [entry["recipients"] for entry in asked(relay, "capture", "list")] == [
            ["patient@example.test"],
            ["lab@clinic.test"],
        ]
        assert len(list((folder / "new").iterdir())) == 2
        assert provider.accepted == []


def test_a_training_system_mails_nobody_whatever_its_from(start_relay: StartRelay) -> None:
    with ScriptedServer() as provider:
        relay = start_relay(
            {
                "listener": {"submission": {"security": "none"}},
                "client": {"training": {"networks": ["127.0.0.0/8"], "upstream": "sandbox"}},
                "identity": {"north": {"match": ["@north.test"], "from": "post@clinic.test", "upstream": "isp"}},
                "upstream": {
                    "sandbox": {"type": "capture"},
                    "isp": {"type": "smtp", "host": "127.0.0.1", "port": provider.port, "security": "none"},
                },
            }
        )
        with smtplib.SMTP("127.0.0.1", relay.port(), timeout=10) as client:
            client.sendmail("dr@north.test", ["patient@example.test"], "From: dr@north.test\r\n\r\nx\r\n")
        wait_until(lambda: asked(relay, "capture", "list") != [], "the message to be kept")
        [kept] = asked(relay, "capture", "list")
        [shown] = asked(relay, "capture", "show", kept["id"])
        assert parseaddr(message_from_string(shown["content"])["From"])[1] == "post@clinic.test", "as it would be sent"
        assert provider.accepted == []

"""Who may send as whom: client × From × policy × provider, through a real relay, to providers that check it."""

import email.policy
import json
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from typing import Any

import pytest

from relay.simulator.mailbox import ReceivedMessage
from tests.rig.relay import RelayProcess
from tests.rig.simulated import SimulatorThread, microsoft365_upstream
from tests.rig.waiting import wait_until

M365, GMAIL = "no-reply@clinic.test", "clinic@gmail.test"
LAB = "lab@clinic.test"
ALLOWED = {"m365": {M365, LAB}, "gmail": {GMAIL, "alias@gmail.test"}}
POLICIES = ("rewrite", "reject", "keep", "default")


@dataclass(frozen=True, slots=True)
class Case:
    """`fields` and `reverse_path` as an application sends them; `fits`: everything in it is allowed as it is."""

    title: str
    fields: str
    reverse_path: str
    fits: bool


def cases(account: str, alias: str) -> list[Case]:
    return [
        Case("own", f"From: Clinic <{account}>", account, True),
        Case("own, other case", f"From: {account.title()}", account, True),
        Case("alias", f"From: <{alias}>", account, True),
        Case("alias everywhere", f"From: Lab <{alias}>", alias, True),
        Case("stranger", "From: Dr Smith <dr@north.test>", "dr@north.test", False),
        Case("stranger in From only", "From: Dr Smith <dr@north.test>", account, False),
        Case("stranger in the envelope only", f"From: <{account}>", "dr@north.test", False),
        Case("stranger behind an own name", f"From: {account} <dr@north.test>", account, False),
        Case("two, one a stranger", f"From: <{account}>, <dr@north.test>", account, False),
        Case("two fields", f"From: <{account}>\r\nFrom: <dr@north.test>", account, False),
        Case("group", "From: Staff: dr@north.test, b@north.test;", account, False),
        Case("no brackets", "From: Dr Smith dr@north.test", account, False),
        Case("unreadable", "From: Dr Smith", account, False),
        Case("stranger as Sender", f"From: <{account}>\r\nSender: <dr@north.test>", account, False),
        Case("folded", "From: =?utf-8?q?=C3=85sa?=\r\n <dr@north.test>", account, False),
        Case("no reverse-path", "From: Dr Smith <dr@north.test>", "", False),
    ]


CASES = {"m365": cases(M365, LAB), "gmail": cases(GMAIL, "alias@gmail.test")}
EVERY = [
    pytest.param(upstream, policy, number, id=f"{upstream}-{policy}-{case.title}")
    for upstream in CASES
    for policy in POLICIES
    for number, case in enumerate(CASES[upstream])
]


@dataclass(frozen=True, slots=True)
class Clinic:
    """A relay with a client for each policy and provider, and the providers."""

    relay: RelayProcess
    cloud: SimulatorThread

    def send(self, client: str, case: Case, recipient: str) -> tuple[int, str]:
        """Send one message; the reply that ended it, and the ID where it was taken."""
        content = f"{case.fields}\r\nTo: <{recipient}>\r\nSubject: {case.title}\r\n\r\nText\r\n".encode()
        with smtplib.SMTP("127.0.0.1", self.relay.port(), timeout=30) as connection:
            connection.ehlo()
            connection.user, connection.password = client, "pass word"
            connection.auth("PLAIN", connection.auth_plain)
            code, said = connection.mail(case.reverse_path)
            if code == 250:
                assert connection.rcpt(recipient)[0] == 250
                code, said = connection.data(content)
        return code, said.decode()

    def arrived(self, recipient: str) -> list[ReceivedMessage]:
        return [one for one in self.cloud.simulator.messages if recipient in one.forward_paths]

    def traced(self, message_id: str) -> dict[str, Any]:
        found = self.relay.command("trace", message_id, "--json")
        assert found.returncode == 0, found.stderr
        entry: dict[str, Any] = json.loads(found.stdout)[0]
        return entry


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    cloud = SimulatorThread(may_send_as=(LAB,))
    simulator = cloud.simulator
    clients = {}
    for upstream in CASES:
        for policy in POLICIES:
            client = {"username": f"{policy}-{upstream}", "password": {"env": "PASSWORD"}, "upstream": upstream}
            clients[f"{policy}-{upstream}"] = client | ({} if policy == "default" else {"sender_policy": policy})
    clients["direct"] = clients["default-m365"] | {"username": "direct", "delivery": "direct"}
    settings = {
        "listener": {"submission": {"security": "none", "require_tls": False}},
        "client": clients,
        "upstream": {
            "m365": microsoft365_upstream(simulator, client_secret={"env": "SECRET"}, may_send_as=[LAB]),
            "gmail": {
                "type": "gmail",
                "host": simulator.host,
                "port": simulator.gmail.port,
                "ca_file": str(simulator.ca_file),
                "username": GMAIL,
                "app_password": {"env": "APP_PASSWORD"},
                "may_send_as": ["alias@gmail.test"],
            },
        },
        "queue": {"retry_first": "200ms", "retry_most": "1s"},
    }
    settings["upstream"]["m365"]["messages_per_minute"] = 10_000  # type: ignore[index]
    environ = {
        "PASSWORD": "pass word",
        "SECRET": simulator.client_secret,
        "APP_PASSWORD": simulator.options.gmail_app_password,
    }
    with RelayProcess(tmp_path_factory.mktemp("senders"), settings, environ) as relay:
        yield Clinic(relay, cloud)
    cloud.close()


def named_in(message: ReceivedMessage) -> tuple[set[str], EmailMessage]:
    """Every address that a message names as who sent it."""
    parsed = BytesParser(policy=email.policy.default).parsebytes(message.content)
    assert isinstance(parsed, EmailMessage)
    fields = [str(value) for name in ("From", "Sender", "Resent-From") for value in parsed.get_all(name, [])]
    named = {address.lower() for _, address in getaddresses(fields)} | {message.reverse_path.lower()}
    return named, parsed


@pytest.mark.parametrize(("upstream", "policy", "number"), EVERY)
def test_nobody_is_sent_as_whom_he_may_not(clinic: Clinic, upstream: str, policy: str, number: int) -> None:
    case, recipient = CASES[upstream][number], f"{upstream}-{policy}-{number}@example.test"
    code, said = clinic.send(f"{policy}-{upstream}", case, recipient)

    if policy == "reject" and not case.fits:
        assert code == 550, said
        assert said.startswith("5.7.1 ")
        # It says who is not allowed, and what is.
        assert (M365 if upstream == "m365" else GMAIL) in said
        assert "@north.test" in said or case.title in {"unreadable", "no brackets"}
        assert clinic.arrived(recipient) == []
        return
    assert code == 250, said
    message_id = said.rpartition(" ")[2]
    if policy == "keep" and case.title == "stranger as Sender":
        return  # the simulated providers look at From and the envelope
    if policy == "keep" and not case.fits and upstream == "m365":
        wait_until(lambda: [line for line in clinic.relay.log("held") if line["id"] == message_id], "it to be held")
        assert clinic.arrived(recipient) == []
        return
    if policy == "keep" and case.reverse_path == "":
        return  # Gmail refuses that one, whatever the policy
    [arrived] = wait_until(lambda: clinic.arrived(recipient), "the message", seconds=30)
    named, parsed = named_in(arrived)
    if policy == "keep":
        assert case.fields.encode() in arrived.content
        return
    assert named <= ALLOWED[upstream]
    if case.fits:
        assert case.fields.encode() in arrived.content
        assert arrived.reverse_path == case.reverse_path
        return
    account = M365 if upstream == "m365" else GMAIL
    assert arrived.reverse_path == account
    if case.title not in {"stranger in the envelope only", "stranger as Sender"}:
        assert [address.addr_spec for address in parsed["From"].addresses] == [account]
        replies = [address.addr_spec for address in parsed["Reply-To"].addresses] if parsed["Reply-To"] else []
        assert ("dr@north.test" in replies) is (case.title != "unreadable")
    rewritten = [event for event in clinic.traced(message_id)["events"] if event["event"] == "rewritten"]
    assert len(rewritten) == 1
    assert account in rewritten[0]["reply"] or case.title == "stranger as Sender"


def test_a_client_that_waits_is_rewritten_too(clinic: Clinic) -> None:
    code, said = clinic.send("direct", CASES["m365"][4], "direct@example.test")
    assert (code, said[:9]) == (250, "2.0.0 OK ")
    named, _ = named_in(clinic.arrived("direct@example.test")[0])
    assert named == {M365}
    message_id = said.rpartition("(")[2].rstrip(")")
    wait_until(lambda: clinic.relay.command("trace", message_id).returncode == 0, "the record")
    assert [event["event"] for event in clinic.traced(message_id)["events"]] == ["direct", "rewritten", "relayed"]


def test_the_original_from_stays_in_the_trace(clinic: Clinic) -> None:
    case, recipient = CASES["m365"][4], "original@example.test"
    _, said = clinic.send("rewrite-m365", case, recipient)
    wait_until(lambda: clinic.arrived(recipient), "the message")
    message_id = said.rpartition(" ")[2]
    wait_until(lambda: clinic.traced(message_id)["events"][-1]["event"] == "relayed", "the outcome")
    entry = clinic.traced(message_id)
    assert (entry["sender"], entry["from"]) == ("dr@north.test", "dr@north.test")
    assert [event["event"] for event in entry["events"]] == ["accepted", "rewritten", "relayed"]
    shown = clinic.relay.command("trace", message_id).stdout
    assert "From dr@north.test is sent as no-reply@clinic.test" in " ".join(shown.split())

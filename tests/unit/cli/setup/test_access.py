"""The script for a tenant's administrator: which rights it gives, and that names stay names."""

from dataclasses import replace

import pytest

from relay.cli.setup.access import Access, lines_for, script_for
from relay.cli.setup.guidance import guidance_of, texts_of
from relay.cli.setup.powershell import octets_of, quoted
from relay.diagnosis.causes import causes
from tests.unit.cli.setup.powershell_text import literals_of

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
OBJECT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
ACCESS = Access("office365", TENANT, CLIENT, "no-reply@clinic.test")
TEXTS = texts_of("microsoft365")


def commands(access: Access) -> list[str]:
    return [line.statement for line in lines_for(access, TEXTS)]


def having(access: Access, word: str) -> list[str]:
    return [statement for statement in commands(access) if word in statement]


@pytest.mark.parametrize(
    ("changes", "there", "absent"),
    [
        pytest.param(
            {},
            ["New-ServicePrincipal", "'Application SMTP.SendAsApp'", "New-ManagementScope", "Set-CASMailbox"],
            ["Add-MailboxPermission", "Mail.Send", "Add-RecipientPermission", "Mail.ReadWrite"],
            id="a role of Exchange, for one mailbox",
        ),
        pytest.param(
            {"classic": True},
            ["New-ServicePrincipal", "Add-MailboxPermission", "-AccessRights SendAs", "Set-CASMailbox"],
            ["New-ManagementScope", "New-ManagementRoleAssignment", "Test-ServicePrincipalAuthorization"],
            id="full access to one mailbox",
        ),
        pytest.param(
            {"via": "graph"},
            ["New-ServicePrincipal", "'Application Mail.Send'", "New-ManagementScope"],
            ["Set-CASMailbox", "SMTP.SendAsApp", "Add-MailboxPermission"],
            id="by Graph SMTP AUTH stays off",
        ),
        pytest.param(
            {"credential": "device_code"},
            ["Set-CASMailbox"],
            ["ServicePrincipal", "Connect-MgGraph", "New-ManagementRoleAssignment", "Add-MailboxPermission"],
            id="a person's sign-in needs no rights of an application",
        ),
        pytest.param(
            {"object_id": OBJECT},
            [f"$objectId = '{OBJECT}'"],
            ["Connect-MgGraph", "Get-MgServicePrincipal"],
            id="an object ID that is known is not looked up",
        ),
        pytest.param(
            {"cloud": "us-gov-high"}, ["O365USGovGCCHigh", "-Environment USGov"], ["O365China"], id="a national cloud"
        ),
        pytest.param(
            {"senders": ("lab@clinic.test", "north@clinic.test")},
            [
                "Add-RecipientPermission -Identity 'lab@clinic.test' -Trustee 'no-reply@clinic.test'",
                "Add-RecipientPermission -Identity 'north@clinic.test' -Trustee 'no-reply@clinic.test'",
            ],
            [],
            id="each further From",
        ),
    ],
)
def test_the_rights_that_are_given(changes: dict[str, object], there: list[str], absent: list[str]) -> None:
    access = replace(ACCESS, **changes)  # type: ignore[arg-type]
    for word in there:
        assert having(access, word), word
    for word in absent:
        assert not having(access, word), word
    literals_of(script_for(access, TEXTS))


def test_what_is_granted_is_limited_to_the_scope() -> None:
    for access in (ACCESS, replace(ACCESS, via="graph")):
        granted = having(access, "New-ManagementRoleAssignment")
        assert granted
        assert all("-CustomResourceScope 'Relay 66666666 scope'" in statement for statement in granted)
    [member] = having(ACCESS, "Add-DistributionGroupMember")
    assert "-Member 'no-reply@clinic.test'" in member


def test_every_line_has_its_reason_above_it() -> None:
    script = script_for(replace(ACCESS, senders=("lab@clinic.test",)), TEXTS).split("\n")
    for line in lines_for(replace(ACCESS, senders=("lab@clinic.test",)), TEXTS):
        assert script[script.index(line.statement) - 1].startswith("# ")


HOSTILE = [
    "o'brien@clinic.test",
    "o\u2019brien@clinic.test",
    "a\u201b;Remove-Mailbox\u2018@clinic.test",
    "$(Remove-Mailbox)@clinic.test",
    "`$x@clinic.test",
    "{tenant}{client_id}@clinic.test",
    "'@clinic.test",
    "''@clinic.test",
    '"#"@clinic.test',
    '"<# #>"@clinic.test',
    '"a;b & c | d"@clinic.test',
    '"{sender}"@clinic.test',
    "größe@klinik.test",
    "a\u2028b@clinic.test",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("via", ["smtp", "graph"])
def test_a_hostile_name_stays_a_name(name: str, via: str) -> None:
    access = replace(ACCESS, mailbox=name, senders=("lab@clinic.test", name + "x"), via=via)  # type: ignore[arg-type]
    if not name.isprintable():
        with pytest.raises(ValueError, match="can't be shown"):
            script_for(access, TEXTS)
        return
    plain = replace(
        ACCESS, mailbox="PLAIN@clinic.test", senders=("lab@clinic.test", "PLAIN@clinic.testx"), via=access.via
    )
    expected = [literal.replace("PLAIN@clinic.test", name) for literal in literals_of(script_for(plain, TEXTS))]
    assert literals_of(script_for(access, TEXTS)) == expected
    assert expected.count(name) >= 2


def test_each_quote_of_powershell_is_doubled() -> None:
    assert quoted("a'b\u2019c") == "'a''b\u2019\u2019c'"
    for control in "\n\r\t\0\x1b\u2029":
        with pytest.raises(ValueError, match="can't be shown"):
            quoted(f"a{control}b")


def test_windows_reads_the_file_as_it_was_written() -> None:
    assert octets_of("# a\n'x'\n") == b"# a\r\n'x'\r\n"
    assert octets_of("'ö'\n").startswith(b"\xef\xbb\xbf")


CREDENTIALS = ["client_secret", "certificate", "device_code", "managed_identity", "federated"]


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("classic", [False, True])
def test_steps_before_and_after_can_be_filled_in(credential: str, classic: bool) -> None:
    access = replace(ACCESS, credential=credential, classic=classic)
    names = {**access.names, "secret": "relay secret set office365"}
    steps = guidance_of(TEXTS["before"] + TEXTS["after"], access.holds, names)
    text = "\n".join(line for number, step in enumerate(steps) for line in step.lines(number))
    assert "{" not in text
    assert CLIENT in text
    assert ("Client secrets > New client secret" in text) == (credential == "client_secret")
    assert ("Grant admin consent" in text) == (classic and credential != "device_code")
    assert ("no API permissions" in text) == (not classic and credential != "device_code")


@pytest.mark.parametrize("provider", ["microsoft365", "gmail", "ses"])
def test_what_a_diagnosis_says_is_not_written_once_more(provider: str) -> None:
    texts = texts_of(provider)
    own = {entry["text"] for part in ("before", "after", "step") for entry in texts.get(part, ()) if "text" in entry}
    said = {step for cause in causes() for step in cause.steps}
    assert own.isdisjoint(said)
    for part in ("before", "after", "step"):
        for entry in texts.get(part, ()):
            assert ("text" in entry) != ("diagnosis" in entry), entry


def test_every_condition_of_the_texts_can_hold() -> None:
    possible = {"senders"}
    for credential in CREDENTIALS:
        for changes in ({}, {"classic": True}, {"via": "graph"}, {"object_id": OBJECT}):
            possible |= replace(ACCESS, credential=credential, **changes).holds
    used = {word for part in ("before", "line", "after") for entry in TEXTS[part] for word in entry.get("when", ())}
    assert used <= possible

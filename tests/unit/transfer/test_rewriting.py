"""Client × upstream × From: what the recipient sees."""

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest

from relay.address import Mailbox, parse_mailbox
from relay.transfer.rewriting import Face, Identity, Rewritten, rewritten

TO = b"To: <patient@example.test>\r\n"


def mailbox(text: str) -> Mailbox:
    found = parse_mailbox(text)
    assert found is not None
    return found


ACCOUNT = mailbox("no-reply@clinic.test")
ALLOWED = frozenset({"no-reply@clinic.test", "lab@clinic.test"})
REWRITE = Face("office365", "rewrite", ACCOUNT, ALLOWED)
VIA = Face("office365", "rewrite", ACCOUNT, ALLOWED, display_name="{name} via Clinic")
REJECT = Face("office365", "reject", ACCOUNT, ALLOWED)
NORTH = Identity("north", mailbox("lab@clinic.test"), "North Clinic", mailbox("north@clinic.test"))


def made(fields: str, face: Face = REWRITE, sender: str = "dr@north.test") -> Rewritten:
    header = fields.encode("utf-8", "surrogateescape") + TO
    return rewritten(header, mailbox(sender) if sender else None, face)


def read(found: Rewritten) -> EmailMessage:
    message = BytesParser(policy=policy.SMTP).parsebytes(found.header + b"\r\n")
    assert isinstance(message, EmailMessage)
    return message


@pytest.mark.parametrize(("field", "author", "replies"), [
    ("From: Dr Smith <dr@north.test>", "Dr Smith <no-reply@clinic.test>", "Dr Smith <dr@north.test>"),
    ("From: <dr@north.test>", "dr <no-reply@clinic.test>", "dr@north.test"),
    ("From: dr@north.test", "dr <no-reply@clinic.test>", "dr@north.test"),
    ('From: "Smith, Dr" <dr@north.test>', '"Smith, Dr" <no-reply@clinic.test>', '"Smith, Dr" <dr@north.test>'),
    ("from: dr@north.test (Dr Smith)", "Dr Smith <no-reply@clinic.test>", "Dr Smith <dr@north.test>"),
    ("From: Dr Smith dr@north.test", "Dr Smith <no-reply@clinic.test>", "Dr Smith <dr@north.test>"),
    ("From: Dr Smith <dr@north.test", "Dr Smith <no-reply@clinic.test>", "Dr Smith <dr@north.test>"),
    ("From: a@b.test <dr@north.test>", '"a@b.test" <no-reply@clinic.test>', '"a@b.test" <dr@north.test>'),
    ("From: Practice: dr@north.test, Bo <bo@north.test>;", "dr <no-reply@clinic.test>",
     "dr@north.test, Bo <bo@north.test>"),
    ("From: Ann <ann@north.test>,\r\n Bo <bo@north.test>", "Ann <no-reply@clinic.test>",
     "Ann <ann@north.test>, Bo <bo@north.test>"),
    ("From: nobody:;", "no-reply@clinic.test", "dr@north.test"),
    ("From: Dr Smith", "Dr Smith <no-reply@clinic.test>", None),
    ("From: @@", '"@@" <no-reply@clinic.test>', None),
    ("From:", "no-reply@clinic.test", "dr@north.test"),
    ("Subject: none", "no-reply@clinic.test", "dr@north.test"),
    ("From: =?utf-8?q?=C3=85str=C3=B6m?= <dr@north.test>", "Åström <no-reply@clinic.test>", "Åström <dr@north.test>"),
    ('From: "=?utf-8?q?=C3=85str=C3=B6m?=" <dr@north.test>', "Åström <no-reply@clinic.test>",
     "Åström <dr@north.test>"),
    ("From: Åström <dr@north.test>", "Åström <no-reply@clinic.test>", "Åström <dr@north.test>"),
    ("From: \udcc5str\udcf6m <dr@north.test>", "Åström <no-reply@clinic.test>", "Åström <dr@north.test>"),
    ("From: åsa@north.test", "åsa <no-reply@clinic.test>", "åsa@north.test"),
    ("From: asa@nörth.test", "asa <no-reply@clinic.test>", "asa@xn--nrth-5qa.test"),
])  # fmt: skip
def test_the_mailbox_sends_and_replies_go_to_the_author(field: str, author: str, replies: str | None) -> None:
    found = made(f"Subject: x\r\n{field}\r\n" if field.lower().startswith("from") else f"{field}\r\n")
    message = read(found)
    assert str(message["From"]) == author
    assert (str(message["Reply-To"]) if message["Reply-To"] else None) == replies
    assert found.reverse_path == ACCOUNT
    assert "no-reply@clinic.test" in found.told
    assert len(message.get_all("From", [])) == 1


@pytest.mark.parametrize("field", [
    "From: Clinic <no-reply@clinic.test>",
    "From: No-Reply@CLINIC.test",
    'From:   "Lab,  Clinic"   <lab@clinic.test>',
    "from : =?iso-8859-1?q?Gr=FC=DFe?=\r\n\t<lab@clinic.test>",
])  # fmt: skip
def test_what_is_allowed_stays_to_the_octet(field: str) -> None:
    header = f"{field}\r\nSubject: x\r\n".encode()
    found = rewritten(header, ACCOUNT, REWRITE)
    assert found.header is header
    assert (found.reverse_path, found.told) == (ACCOUNT, "")


@pytest.mark.parametrize(("field", "author"), [
    ("From: Lab lab@clinic.test", "Lab <lab@clinic.test>"),
    ("From: Lab: lab@clinic.test;", "lab@clinic.test"),
    ("From: lab@clinic.test\r\nFrom: lab@clinic.test", "lab@clinic.test, lab@clinic.test"),
])  # fmt: skip
def test_an_allowed_from_is_written_as_it_should_be(field: str, author: str) -> None:
    message = read(made(field + "\r\n", sender="lab@clinic.test"))
    assert str(message["From"]) == author
    assert message["Reply-To"] is None


def test_only_the_fields_meant_change() -> None:
    before = b"Received: x\r\n\tby y\r\nFrom: a@b.test\r\nSubject:  two  blanks \r\n folded\r\nX-Odd:\xff\r\n"
    found = rewritten(before, None, REWRITE)
    assert found.header == before.replace(
        b"From: a@b.test\r\n", b"From: a <no-reply@clinic.test>\r\nReply-To: <a@b.test>\r\n"
    )


@pytest.mark.parametrize(("fields", "sender"), [
    ("From: a@b.test\r\nSender: c@d.test\r\n", None),
    ("From: lab@clinic.test\r\nSender: c@d.test\r\n", None),
    ("From: lab@clinic.test\r\nSender: no-reply@clinic.test\r\n", "no-reply@clinic.test"),
    ("From: lab@clinic.test, no-reply@clinic.test\r\n", "no-reply@clinic.test"),
    ("From: lab@clinic.test, no-reply@clinic.test\r\nSender: x@d.test\r\n", "no-reply@clinic.test"),
    ("From: lab@clinic.test, no-reply@clinic.test\r\nSender: lab@clinic.test\r\n", "lab@clinic.test"),
])  # fmt: skip
def test_sender(fields: str, sender: str | None) -> None:
    message = read(made(fields))
    assert (str(message["Sender"]) if message["Sender"] else None) == sender


def test_resent_fields() -> None:
    message = read(made("From: lab@clinic.test\r\nResent-From: Bo <bo@x.test>\r\nResent-Sender: c@x.test\r\n"))
    assert str(message["From"]) == "lab@clinic.test"
    assert str(message["Resent-From"]) == "Bo <no-reply@clinic.test>"
    assert message["Resent-Sender"] is None


@pytest.mark.parametrize(("field", "face", "author"), [
    ("From: Dr Smith <dr@north.test>", VIA, "Dr Smith via Clinic <no-reply@clinic.test>"),
    ("From: =?utf-8?q?=C3=85?= <dr@north.test>", VIA, "Å via Clinic <no-reply@clinic.test>"),
    ("From: dr.smith@north.test", VIA, '"dr.smith via Clinic" <no-reply@clinic.test>'),
    ("From: {x} <dr@north.test>", VIA, "{x} via Clinic <no-reply@clinic.test>"),
    ("From: Lab <lab@clinic.test>", VIA, "Lab <lab@clinic.test>"),
])  # fmt: skip
def test_display_names(field: str, face: Face, author: str) -> None:
    assert str(read(made(f"{field}\r\n", face))["From"]) == author


@pytest.mark.parametrize(("fields", "face", "replies"), [
    ("From: a@b.test\r\nReply-To: c@d.test\r\n", REWRITE, "c@d.test"),
    ("From: a@b.test\r\nReply-To:\r\n", REWRITE, "a@b.test"),
    ("From: a@b.test\r\n", Face("x", reply_to=mailbox("desk@clinic.test")), "desk@clinic.test"),
    ("From: a@b.test\r\nReply-To: c@d.test\r\n", Face("x", reply_to=mailbox("desk@clinic.test")), "c@d.test"),
    ("From: lab@clinic.test\r\n", REWRITE, None),
    ("From: a@b.test\r\n", Face("x", "rewrite", ACCOUNT, ALLOWED, answerable=False), None),
])  # fmt: skip
def test_reply_to(fields: str, face: Face, replies: str | None) -> None:
    message = read(made(fields, face))
    assert len(message.get_all("Reply-To", [])) == (replies is not None)
    assert (str(message["Reply-To"]) if replies else None) == replies


@pytest.mark.parametrize(("sender", "face", "reverse_path"), [
    ("a@b.test", REWRITE, "no-reply@clinic.test"),
    ("lab@clinic.test", REWRITE, "lab@clinic.test"),
    ("", REWRITE, "no-reply@clinic.test"),
    ("a@b.test", Face("x", reply_to=ACCOUNT), "a@b.test"),
    ("", Face("x", reply_to=ACCOUNT), ""),
    ("a@b.test", Face("x", identity=NORTH), "lab@clinic.test"),
    ("bounces+1@b.test", Face("x", identity=NORTH), "bounces+1@b.test"),
    ("", Face("x", identity=NORTH), ""),
])  # fmt: skip
def test_reverse_paths(sender: str, face: Face, reverse_path: str) -> None:
    found = made("From: A <a@b.test>\r\n", face, sender)
    assert str(found.reverse_path or "") == reverse_path


@pytest.mark.parametrize(("identity", "face", "author", "replies"), [
    (NORTH, Face("x"), "North Clinic <lab@clinic.test>", "north@clinic.test"),
    (NORTH, REWRITE, "North Clinic <lab@clinic.test>", "north@clinic.test"),
    (Identity("n", mailbox("ceo@clinic.test"), "North"), REWRITE, "North <no-reply@clinic.test>", "A <a@b.test>"),
    (Identity("n", mailbox("ceo@clinic.test")), VIA, "A via Clinic <no-reply@clinic.test>", "A <a@b.test>"),
    (Identity("n", mailbox("lab@clinic.test")), VIA, "A <lab@clinic.test>", "A <a@b.test>"),
    (Identity("n", None, "Ärzte Nord"), Face("x"), "Ärzte Nord <a@b.test>", None),
    (Identity("n", None, None, ACCOUNT), Face("x"), "A <a@b.test>", "no-reply@clinic.test"),
])  # fmt: skip
def test_identities(identity: Identity, face: Face, author: str, replies: str | None) -> None:
    face = Face(face.upstream, face.policy, face.account, face.allowed, face.display_name, identity=identity)
    message = read(made("From: A <a@b.test>\r\n", face))
    assert str(message["From"]) == author
    assert (str(message["Reply-To"]) if message["Reply-To"] else None) == replies


@pytest.mark.parametrize(("fields", "sender", "named"), [
    ("From: a@b.test\r\n", "lab@clinic.test", "a@b.test"),
    ("From: lab@clinic.test, a@b.test\r\n", "lab@clinic.test", "a@b.test"),
    ("From: lab@clinic.test\r\nSender: c@d.test\r\n", "lab@clinic.test", "c@d.test"),
    ("From: lab@clinic.test\r\nResent-From: c@d.test\r\n", "lab@clinic.test", "c@d.test"),
    ("From: lab@clinic.test\r\n", "a@b.test", "a@b.test"),
    ("From: nobody\r\n", "lab@clinic.test", "cannot be read"),
    ("From: lab@clinic.test\r\n", "lab@clinic.test", None),
    ("From: lab@clinic.test\r\n", "", None),
])  # fmt: skip
def test_rejects(fields: str, sender: str, named: str | None) -> None:
    found = made(fields, REJECT, sender)
    assert found.header == fields.encode() + TO
    if named is None:
        assert found.refusal is None
    else:
        assert found.refusal is not None
        assert (found.refusal.code, named in found.refusal.text) == (550, True)


@pytest.mark.parametrize(("fields", "told"), [
    ("From: a@b.test\r\nDKIM-Signature: v=1; h=from:to; b=x\r\n", ("From a@b.test is sent as no-reply@clinic.test; "
     "the DKIM signature no longer holds")),
    ("From: lab@clinic.test\r\nDKIM-Signature: v=1; h=from:to; b=x\r\n", ""),
    ("From: a@b.test\r\nContent-Type: multipart/signed; boundary=x\r\n", ("From a@b.test is sent as "
     "no-reply@clinic.test; its signature names another address than From")),
    ("From: a@b.test, c@d.test\r\n", "From a@b.test, c@d.test is sent as no-reply@clinic.test"),
])  # fmt: skip
def test_the_trace_says_what_was_done(fields: str, told: str) -> None:
    assert made(fields, sender="lab@clinic.test").told == told


def test_a_reply_to_breaks_only_the_signature_that_covers_it() -> None:
    face = Face("x", reply_to=ACCOUNT)
    assert made("From: a@b.test\r\nDKIM-Signature: h=From:To; b=\r\n", face).seal == "DKIM"
    assert made("From: a@b.test\r\nDKIM-Signature: a=b;\r\n h=From:\r\n Reply-To; b=\r\n", face).seal == ""

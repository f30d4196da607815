"""Which messages get another face, decided by the configuration."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.transfer.faces import Faces
from tests.unit.transfer.made import mailbox, message

UPSTREAMS: dict[str, dict[str, Any]] = {
    "gmail": {"type": "gmail", "username": "c@gmail.test", "app_password": {"env": "P"}, "may_send_as": ["Lab@c.test"]},
    "isp": {"type": "smtp", "host": "mx.isp.test"},
    "behind": {"type": "smtp", "host": "smtp.office365.com", "username": "m@c.test", "password": {"env": "P"}},
}
IDENTITIES = {
    "domain": {"match": ["@north.test"], "name": "North"},
    "one": {"match": ["DR@north.test"], "from": "lab@c.test"},
    "way": {"match": ["@south.test"], "upstream": "isp"},
}


def faces(client: dict[str, Any] | None = None, **tables: Any) -> Faces:
    given = {"username": "app", "upstream": list(UPSTREAMS), **(client or {})}
    return Faces(Settings.model_validate({"client": {"app": given}, "upstream": UPSTREAMS, **tables}))


@pytest.mark.parametrize(("client", "upstream", "policy"), [
    ({}, "gmail", "rewrite"),
    ({}, "isp", None),
    ({}, "behind", None),
    ({"sender_policy": "keep"}, "gmail", None),
    ({"sender_policy": "rewrite"}, "isp", None),
    ({"sender_policy": "rewrite"}, "behind", "rewrite"),
    ({"sender_policy": "reject"}, "gmail", "reject"),
    ({"reply_to": "d@c.test"}, "isp", "keep"),
    ({"disclaimer_text": "x"}, "isp", "keep"),
    ({"disclaimer_text": " "}, "isp", None),
    ({}, "gone", None),
])  # fmt: skip
def test_policies(client: dict[str, Any], upstream: str, policy: str | None) -> None:
    face = faces(client).face_of(message(), upstream)
    assert (face.policy if face is not None else None) == policy


def test_what_an_upstream_may_send_as() -> None:
    face = faces().face_of(message(), "gmail")
    assert face is not None
    assert (face.account, face.allowed) == (mailbox("c@gmail.test"), frozenset({"c@gmail.test", "lab@c.test"}))
    assert face.allows(mailbox("LAB@c.test"))
    assert not face.allows(None)


@pytest.mark.parametrize(("header_from", "reverse_path", "title"), [
    ("dr@North.test", "", "one"),
    ("other@north.test", "dr@north.test", "domain"),
    ("", "dr@north.test", "one"),
    ("a@south.test", "", None),
    ("a@sub.north.test", "", None),
    ("", "", None),
])  # fmt: skip
def test_identities(header_from: str, reverse_path: str, title: str | None) -> None:
    sender = mailbox(reverse_path) if reverse_path else None
    about = replace(message(), header_from=header_from, reverse_path=sender)
    face = faces(identity=IDENTITIES).face_of(about, "isp")
    assert (face.identity.title if face is not None and face.identity is not None else None) == title


def test_a_notice_of_ours_goes_by_whichever_upstream_takes_it() -> None:
    notice = replace(message(), notice=True)
    known = faces({"disclaimer_text": "x", "reply_to": "d@c.test", "sender_policy": "keep"}, identity=IDENTITIES)
    face = known.face_of(notice, "gmail")
    assert face is not None
    assert (face.policy, face.reply_to, face.disclaimer, face.identity) == ("rewrite", None, None, None)
    assert not face.answerable
    assert known.face_of(notice, "isp") is None


def test_a_disclaimer_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "d.html").write_bytes(b"\xef\xbb\xbf<p>A\xc3\x84</p>")
    face = faces({"disclaimer_html": {"file": str(tmp_path / "d.html")}}).face_of(message(), "isp")
    assert face is not None
    assert face.disclaimer is not None
    assert face.disclaimer.text == "AÄ"
    assert faces({"disclaimer_html": {"file": str(tmp_path / "gone")}}).face_of(message(), "isp") is None


def test_a_file_that_is_gone_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("Before")
    settings = faces({"disclaimer_text": {"file": str(tmp_path / "d.txt")}})
    settings.face_of(message(), "isp")
    (tmp_path / "d.txt").unlink()
    face = Faces(settings._settings, settings).face_of(message(), "isp")
    assert face is not None
    assert face.disclaimer is not None
    assert face.disclaimer.text == "Before"

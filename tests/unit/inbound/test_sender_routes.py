"""By which upstreams a message may leave because of who sends it, and who is refused."""

from typing import Any

import pytest

from relay.address import Mailbox, parse_mailbox
from relay.config.settings import Settings
from relay.inbound import admission, replies
from relay.inbound.header_section import senders_in
from relay.inbound.sender_routes import SenderRoutes

UPSTREAMS: dict[str, dict[str, Any]] = {
    "a": {"type": "gmail", "username": "a@c.test", "app_password": {"env": "P"}},
    "b": {"type": "gmail", "username": "b@c.test", "app_password": {"env": "P"}, "may_send_as": ["lab@c.test"]},
    "isp": {"type": "smtp", "host": "mx.isp.test"},
}
IDENTITIES = {
    "north": {"match": ["@north.test"], "upstream": "b", "from": "lab@c.test"},
    "south": {"match": ["@south.test"], "upstream": "b"},
    "east": {"match": ["@east.test"], "name": "East"},
}


def box(text: str) -> Mailbox | None:
    return parse_mailbox(text) if text else None


def made(policy: str, upstreams: list[str]) -> Settings:
    client = {"username": "app", "upstream": upstreams, "sender_policy": policy}
    return Settings.model_validate({"client": {"app": client}, "upstream": UPSTREAMS, "identity": IDENTITIES})


@pytest.mark.parametrize(("policy", "author", "sender", "ways"), [
    ("rewrite", "x@y.test", "x@y.test", ("a", "b")),
    ("rewrite", "x@north.test", "x@y.test", ("b",)),
    ("keep", "", "x@north.test", ("b",)),
    ("keep", "x@east.test", "", ("a", "b")),
    ("reject", "lab@c.test", "b@c.test", ("b",)),
    ("reject", "a@c.test", "", ("a",)),
    ("reject", "x@north.test", "x@north.test", ("b",)),
    ("reject", "x@y.test", "", ("a", "b")),
])  # fmt: skip
def test_candidates(policy: str, author: str, sender: str, ways: tuple[str, ...]) -> None:
    settings = made(policy, ["a", "b"])
    routes = SenderRoutes(settings)
    authors = (box(author),) if author else ()
    assert routes.candidates(("a", "b"), settings.client["app"], authors, box(sender)) == ways


@pytest.mark.parametrize(("sender", "upstreams", "refused"), [
    ("a@c.test", ["a"], False),
    ("A@C.test", ["a"], False),
    ("", ["a"], False),
    ("b@c.test", ["a"], False),  # an identity's upstream may send as that
    ("x@north.test", ["a"], False),
    ("x@y.test", ["a"], True),
    ("x@y.test", ["a", "isp"], False),
])  # fmt: skip
def test_reverse_paths(sender: str, upstreams: list[str], refused: bool) -> None:
    settings = made("reject", upstreams)
    said = SenderRoutes(settings).refuse_reverse_path(settings.client["app"], box(sender))
    assert (said is not None) is refused
    if said is not None:
        assert (said.code, str(said.status)) == (550, "5.7.1")
        assert "x@y.test" in said.text
        assert "a@c.test" in said.text


@pytest.mark.parametrize(("authors", "sender", "upstreams", "named"), [
    (["a@c.test"], "a@c.test", ["a"], None),
    (["a@c.test", "x@y.test"], "a@c.test", ["a"], "x@y.test"),
    ([""], "a@c.test", ["a"], "NAME <ADDRESS>"),
    ([""], "a@c.test", ["a", "isp"], None),
    ([], "a@c.test", ["a"], None),
    (["x@north.test"], "x@north.test", ["a"], None),
    (["x@north.test", ""], "x@north.test", ["a"], None),
    (["x@south.test"], "b@c.test", ["a"], "x@south.test"),
    (["lab@c.test"], "b@c.test", ["a", "b"], None),
    (["lab@c.test"], "a@c.test", ["a", "b"], "lab@c.test"),
])  # fmt: skip
def test_headers(authors: list[str], sender: str, upstreams: list[str], named: str | None) -> None:
    settings = made("reject", upstreams)
    found = [box(author) for author in authors]
    said = SenderRoutes(settings).refuse_header(settings.client["app"], found, box(sender))
    assert (said is None) is (named is None)
    if said is not None and named is not None:
        assert named in said.text
    assert (
        SenderRoutes(made("keep", upstreams)).refuse_header(made("keep", upstreams).client["app"], found, None) is None
    )


def test_nothing_is_looked_at_where_nothing_is_configured() -> None:
    plain = Settings.model_validate({"client": {"app": {"username": "a", "upstream": "isp"}}, "upstream": UPSTREAMS})
    assert not SenderRoutes(plain).any_for(plain.client["app"])
    assert SenderRoutes(made("keep", ["a"])).any_for(plain.client["app"])


def test_letters_that_a_reply_may_not_have() -> None:
    said = replies.sender_rejected(Mailbox("ä", "b.test"), "über", ["x" * 1000])
    assert said.wire().isascii()
    assert len(said.wire()) < 512


def test_sender_is_one_of_those_who_must_be_allowed() -> None:
    header = b"Sender: Secretary <s@c.test>\r\nFrom: a@c.test\r\nsender : evil\r\n"
    assert senders_in(header) == (Mailbox("s", "c.test"), None)
    limited = made("keep", ["a"]).client["app"].model_copy(update={"senders": ("a@c.test",)})
    refused = (replies.AUTHOR_NOT_ALLOWED, "sender")
    assert admission.refuse_header(limited, 0, (box("a@c.test"), *senders_in(header))) == refused

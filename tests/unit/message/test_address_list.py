import time

import pytest

from relay.message.address_list import authors_in, mailboxes_in


@pytest.mark.parametrize(("value", "authors"), [
    ("a@b.test", [("", "a@b.test", True)]),
    (" Ann <a@b.test> ", [("Ann", "a@b.test", True)]),
    ('"x, y" <a@b.test>, c@d.test', [('"x, y"', "a@b.test", True), ("", "c@d.test", True)]),
    ("c@d.test <a@b.test>", [("c@d.test", "a@b.test", True)]),
    ("a@b.test (Ann)", [('"Ann"', "a@b.test", True)]),
    ("Ann (x) <a@b.test>", [("Ann", "a@b.test", True)]),
    ("Ann a@b.test", [("Ann", "a@b.test", False)]),
    ("Ann <a@b.test", [("Ann", "a@b.test", False)]),
    ("<<a@b.test>>", [("", "a@b.test", False)]),
    ("G: a@b.test, Bo <c@d.test>;", [("", "a@b.test", False), ("Bo", "c@d.test", False)]),
    ("G: a@b.test;, c@d.test", [("", "a@b.test", False), ("", "c@d.test", True)]),
    ("Ann", [("Ann", None, False)]),
    ("a@b@c.test", [("a@b@c.test", None, False)]),
    ('"open <a@b.test>', [('"', None, False)]),
    ("(open a@b.test", [("open", "a@b.test", False)]),
    ("", []),
    (";", []),
])  # fmt: skip
def test_authors(value: str, authors: list[tuple[str, str | None, bool]]) -> None:
    found = authors_in(value.encode())
    assert [(one.phrase, str(one.mailbox) if one.mailbox else None, one.proper) for one in found] == authors


def test_a_field_of_quotes_takes_time_by_its_length_only() -> None:
    # A quarter of a MiB took half a second, in which nobody else was answered.
    began = time.process_time()
    for _ in range(4):
        mailboxes_in(b" " + b'"' * 256_000)
    assert time.process_time() - began < 1.0

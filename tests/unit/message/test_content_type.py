import pytest

from relay.message.content_type import declared, disposition
from relay.message.header_fields import Finder, edited, field
from relay.message.mime_entities import header_of


@pytest.mark.parametrize(("value", "kind", "parameters"), [
    (b" text/plain", "text/plain", {}),
    (b"TEXT/HTML;CHARSET=UTF-8", "text/html", {"charset": "UTF-8"}),
    (b" multipart/mixed;\r\n\tboundary=\"a;b=c\\\"d\"", "multipart/mixed", {"boundary": 'a;b=c"d'}),
    (b" text/plain (really); charset=us-ascii (yes)", "text/plain", {"charset": "us-ascii"}),
    (b' a/b; name="x (y)"', "a/b", {"name": "x (y)"}),
    (b" a/b; name*=utf-8'de'Gr%C3%BC%C3%9Fe", "a/b", {"name": "Grüße"}),
    (b" a/b; boundary*0=x; boundary*1=y", "a/b", {"boundary": "xy"}),
    (b" a/b; name*=x-none''%41", "a/b", {"name": "A"}),
    (b" a/b; a=1; a=2", "a/b", {"a": "1"}),
    (b" text", "text/plain", {}),
    (b" ; charset=x", "text/plain", {"charset": "x"}),
    (b' a/b; name="open', "a/b", {"name": "open"}),
    (b"", "text/plain", {}),
])  # fmt: skip
def test_types(value: bytes, kind: str, parameters: dict[str, str]) -> None:
    found = declared(value)
    assert (found.kind, dict(found.parameters)) == (kind, parameters)


def test_dispositions() -> None:
    found = disposition(b' Attachment; filename="a.pdf"')
    assert (found.kind, found.parameters["filename"]) == ("attachment", "a.pdf")
    assert disposition(b"").kind == ""


@pytest.mark.parametrize(("header", "after"), [
    (b"Content-Type: text/plain; charset=us-ascii; format=flowed\r\n",
     b"Content-Type: text/plain; charset=utf-8; format=flowed\r\n"),
    (b"content-type:text/plain;\r\n charset=\"x\"\r\nX: y\r\n",
     b"Content-Type:text/plain;\r\n charset=utf-8\r\nX: y\r\n"),
    (b"Content-Type: text/plain;\r\n", b"Content-Type: text/plain; charset=utf-8\r\n"),
    (b"X: y\r\n", b"X: y\r\nContent-Type: text/plain; charset=utf-8\r\n"),
])  # fmt: skip
def test_another_charset(header: bytes, after: bytes) -> None:
    assert header_of(header).with_charset("utf-8").octets == after


def test_fields_are_found_with_their_folds() -> None:
    header = b"X-From: a\r\nFROM : a\r\n b\r\nSubject: From: x\r\nfrom:\r\n"
    found = Finder("from").fields_in(header)
    assert [one.value for one in found] == [b" a\r\n b", b""]
    assert edited(header, [(found[0].start, found[0].end, b""), (found[1].start, found[1].end, b"F: g\r\n")]) == (
        b"X-From: a\r\nSubject: From: x\r\nF: g\r\n"
    )


def test_fields_are_folded_and_never_broken() -> None:
    assert field("To", [b"a" * 40, b"b" * 40]) == b"To: " + b"a" * 40 + b"\r\n " + b"b" * 40 + b"\r\n"
    assert field("To", [b"a" * 100]) == b"To: " + b"a" * 100 + b"\r\n"
    for word in (b"a\rb", b"a\nb", b"a\0b"):
        with pytest.raises(ValueError, match="a line end within To"):
            field("To", [word])

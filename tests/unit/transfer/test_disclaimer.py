import pytest

from relay.transfer.disclaimer import disclaimer_of, text_of


@pytest.mark.parametrize(("html", "text"), [
    ("<p>One</p><p>Two<br>three</p>", "One\nTwo\nthree"),
    ("<style>p { }</style><p>A &amp; B&nbsp;&#10003;</p><!-- c -->", "A & B ✓"),
    ("<table><tr><td>a</td></tr><tr><td>b</td></tr></table>", "a\nb"),
    ("plain", "plain"),
    ("", ""),
])  # fmt: skip
def test_a_text_is_made_of_html(html: str, text: str) -> None:
    assert text_of(html) == text


def test_either_is_made_of_the_other() -> None:
    found = disclaimer_of("A & B ✓\r\nsecond  \r\n", None)
    assert found is not None
    assert (found.text, found.html) == ("A & B ✓\nsecond", b"<p>A &amp; B &#10003;<br>\r\nsecond</p>\r\n")
    found = disclaimer_of(None, "<p>A &amp; B</p>")
    assert found is not None
    assert (found.text, found.html) == ("A & B", b"<p>A &amp; B</p>\r\n")
    assert disclaimer_of(" \n", "") is None
    assert disclaimer_of(None, "<p></p>") is None


@pytest.mark.parametrize(("text", "there"), [
    ("x\nThis is confidential.\nReally.", True),
    ("> This is\n> confidential. Really.", True),
    (">> THIS IS\n>>  confidential.\n> > Really.", True),
    ("This is confidential.", False),
    ("", False),
])  # fmt: skip
def test_it_is_known_again(text: str, there: bool) -> None:
    found = disclaimer_of("This is confidential.\nReally.", None)
    assert found is not None
    assert found.stands_in(text, as_html=False) is there
    page = "<blockquote><p>" + text.replace(">", "").replace("is", "<b>is</b>", 1) + "</p></blockquote>"
    assert found.stands_in(page, as_html=True) is there


def test_lines_of_html_are_not_too_long() -> None:
    found = disclaimer_of(None, "word " * 1000)
    assert found is not None
    assert max(map(len, found.html.split(b"\r\n"))) <= 998

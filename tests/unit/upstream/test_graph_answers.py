import json

import pytest

from relay.upstream.contract import Phase
from relay.upstream.graph_allowance import Limit, Window
from relay.upstream.graph_answers import pause_of, reply_of, too_large, unknown_fate
from relay.upstream.http_protocol import HttpAnswer

AT = 1_772_409_600.0  # Mon, 02 Mar 2026 00:00:00 GMT


def _answer(status: int, code: str = "", message: str = "", retry_after: str = "") -> HttpAnswer:
    body = json.dumps({"error": {"code": code, "message": message}}).encode() if code else b"<html>"
    return HttpAnswer(status, {"retry-after": retry_after} if retry_after else {}, body)


@pytest.mark.parametrize(
    ("answer", "phase", "said"),
    [
        (
            _answer(403, "ErrorAccessDenied", "Access is denied."),
            Phase.AUTH,
            "535 5.7.1 HTTP 403 ErrorAccessDenied: Access is denied.",
        ),
        (_answer(401), Phase.AUTH, "535 5.7.8 HTTP 401"),
        (_answer(403), Phase.AUTH, "535 5.7.0 HTTP 403"),
        (_answer(404), Phase.DONE, "451 4.3.0 HTTP 404"),
        (_answer(404, "ErrorItemNotFound"), Phase.DONE, "451 4.3.0 HTTP 404 ErrorItemNotFound:"),
        (_answer(413), Phase.DONE, "552 5.3.4 HTTP 413"),
        (
            _answer(400, "ErrorInvalidRecipients", "a\r\nb"),
            Phase.DONE,
            "550 5.1.3 HTTP 400 ErrorInvalidRecipients: a b",
        ),
        (_answer(400, "Never heard of"), Phase.DONE, "451 4.3.0 HTTP 400"),
        (_answer(500, "x<y>"), Phase.DONE, "451 4.3.0 HTTP 500"),
        (_answer(429, "TooManyRequests"), Phase.MAIL, "451 4.3.2 HTTP 429 TooManyRequests:"),
        (_answer(503), Phase.DONE, "451 4.3.0 HTTP 503"),
        (_answer(503, retry_after="7"), Phase.MAIL, "451 4.3.2 HTTP 503"),
        (HttpAnswer(400, {}, b'{"error": "text"}'), Phase.DONE, "451 4.3.0 HTTP 400"),
        (HttpAnswer(400, {}, b"[" * 100_000), Phase.DONE, "451 4.3.0 HTTP 400"),
    ],
)
def test_what_an_answer_means(answer: HttpAnswer, phase: Phase, said: str) -> None:
    found, reply = reply_of(answer, "graph.microsoft.com")
    assert (found, str(reply), reply.said_by) == (phase, said, "graph.microsoft.com")


@pytest.mark.parametrize(
    ("status", "said", "seconds"),
    [
        (429, "17", 17.0),
        (429, "0", 0.0),
        (429, "", 10.0),
        (429, "soon", 10.0),
        (429, "Mon, 02 Mar 2026 00:02:00 GMT", 120.0),
        (429, "Sun, 01 Mar 2026 00:02:00 GMT", 0.0),
        (429, "99999999", 86_400.0),
        (503, "5", 5.0),
        (503, "", 0.0),
        (500, "5", 0.0),
        (202, "5", 0.0),
    ],
)
def test_for_how_long_graph_wants_to_be_left_alone(status: int, said: str, seconds: float) -> None:
    assert pause_of(_answer(status, retry_after=said), AT) == seconds


@pytest.mark.parametrize(
    ("status", "unknown"),
    [(202, False), (200, True), (201, True), (400, False), (500, False), (502, True), (504, True)],
)
def test_whether_a_message_may_be_on_its_way(status: int, unknown: bool) -> None:
    assert unknown_fate(_answer(status)) is unknown


def test_a_request_that_is_too_large() -> None:
    assert too_large(_answer(413))
    assert too_large(_answer(400, "BadRequest", "The maximum request length supported is 4MB."))
    assert not too_large(_answer(400, "BadRequest"))


def test_a_window() -> None:
    window = Window(Limit(10, 60.0))
    assert window.wait(10, 0.0) == 0.0
    window.count(6, 0.0)
    window.count(4, 10.0)
    assert [window.wait(amount, 20.0) for amount in (1, 6, 7, 99)] == [40.0, 40.0, 50.0, 50.0]
    assert window.wait(6, 60.0) == 0.0
    assert window.wait(7, 60.0) == 10.0
    assert window.wait(10, 70.0) == 0.0

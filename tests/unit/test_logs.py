"""Each line is one JSON object; addresses are shown as configured, wherever they stand."""

from __future__ import annotations

import contextlib
import json
import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay import logs
from relay.address import Disclosure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("disclosure", "sender", "reply"),
    [
        ("full", "anna@clinic.test", "550 5.1.1 <bob@x.test> is unknown"),
        ("masked", "a***@clinic.test", "550 5.1.1 <b***@x.test> is unknown"),
        ("none", "***", "550 5.1.1 <***> is unknown"),
    ],
)
def test_addresses_are_shown_as_configured(
    capsys: pytest.CaptureFixture[str], disclosure: Disclosure, sender: str, reply: str
) -> None:
    logs.configure(addresses=disclosure)
    values = {
        "sender": "anna@clinic.test",
        "reply": "550 5.1.1 <bob@x.test> is unknown",
        "recipients": ["anna@clinic.test"],
    }
    logs.Log("relay").write(logging.INFO, "failed", values)
    (line,) = written(capsys)
    assert (line["sender"], line["reply"], line["recipients"]) == (sender, reply, [sender])
    assert list(line)[:3] == ["time", "level", "event"]
    assert (line["level"], line["event"]) == ("info", "failed")


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ('"john doe"@far.test', '"***@far.test'),
        (r'"john\"@home"@far.test', '"***@far.test'),
        ("john.o'brien@far.test", "j***@far.test"),
        ("a/b+c=d@far.test", "a***@far.test"),
        ("john%far.test@gw.test", "j***@gw.test"),
        ("john@[IPv6:::1]", "j***@[IPv6:::1]"),
    ],
)
def test_nothing_of_an_odd_address_is_left(capsys: pytest.CaptureFixture[str], address: str, masked: str) -> None:
    logs.configure(addresses="masked")
    reply = f"550 5.1.1 \"no\" {address} nor <{address}>, '{address}'"
    logs.Log("relay").write(logging.INFO, "failed", {"sender": "<>", "recipients": [address], "reply": reply})
    (line,) = written(capsys)
    assert (line["sender"], line["recipients"]) == ("<>", [masked])
    assert line["reply"] == f"550 5.1.1 \"no\" {masked} nor <{masked}>, '{masked}'"


@pytest.mark.parametrize(
    ("reply", "masked"),
    [
        (
            "550 5.7.1 http://www.openspf.org/Why?s=mfrom;id=ann.x%40clinic.test;ip=192.0.2.1",
            "550 5.7.1 http://www.openspf.org/Why?s=mfrom;id=a***%40clinic.test;ip=192.0.2.1",
        ),
        ("550 https://x.test/?r=%22ann%22%40clinic.test&z", "550 https://x.test/?r=%***%40clinic.test&z"),
        ("550 <bob@x.test> https://x.test/u/ann%2Bb%40x.test", "550 <b***@x.test> https://x.test/u/a***%40x.test"),
    ],
)
def test_an_address_in_a_link_is_masked_too(capsys: pytest.CaptureFixture[str], reply: str, masked: str) -> None:
    logs.configure(addresses="masked")
    logs.Log("relay").write(logging.INFO, "failed", {"reply": reply})
    assert written(capsys)[0]["reply"] == masked


def test_a_long_word_is_looked_through_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(addresses="masked")
    began = time.process_time()
    logs.Log("relay").write(logging.INFO, "failed", {"reply": f"550 {'x' * 60_000} {'x%4' * 9_000} a@far.test %40"})
    assert time.process_time() - began < 0.5
    assert written(capsys)[0]["reply"].endswith(" a***@far.test %40")


def test_values_that_are_none_and_levels_that_are_off_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info")
    log = logs.Log("relay")
    log.write(logging.DEBUG, "disconnected", {})
    log.write(logging.INFO, "accepted", {"id": "1", "client": None})
    (line,) = written(capsys)
    assert line["event"] == "accepted"
    assert "client" not in line


def test_libraries_and_warnings_are_lines_of_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("somebody").warning("cannot reach %s", "anna@clinic.test")
    warnings.simplefilter("always")
    warnings.warn("deprecated for anna@clinic.test", UserWarning, stacklevel=1)
    try:
        raise ValueError("anna@clinic.test")
    except ValueError:
        logging.getLogger("somebody").exception("went wrong")
    lines = written(capsys)
    assert [line["event"] for line in lines] == ["library"] * 3
    assert lines[0]["text"] == "cannot reach a***@clinic.test"
    assert "anna@" not in json.dumps(lines)


def test_a_line_is_one_line_whatever_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logs.Log("relay").write(logging.INFO, "refused", {"reply": '550 no\r\n{"event": "accepted"}\n'})
    assert len(written(capsys)) == 1


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure()
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stderr", full)
        logs.Log("relay").write(logging.INFO, "accepted", {})
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


def test_a_line_is_written_as_json_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    values = {
        "reply": '550 "no"\r\n\\ ü\x01',
        "recipients": ["anna@clinic.test", None, True, 2.5, {"by": "bob@x.test"}],
        "size": 2**70,
        "direct": False,
        "ratio": 0.5,
        "paths": ("anna@clinic.test",),
        "by": {"main": "isp", "left": [1, None]},
        "error": ValueError,
    }
    logs.Log("relay").write(logging.WARNING, "refused", values)
    line = capsys.readouterr().err.removesuffix("\n")
    assert line == json.dumps(json.loads(line), ensure_ascii=False)
    read = json.loads(line)
    assert (read["reply"], read["size"], read["direct"]) == (values["reply"], 2**70, False)
    assert read["recipients"] == ["a***@clinic.test", None, True, 2.5, {"by": "b***@x.test"}]
    assert (read["by"], read["error"]) == (values["by"], repr(ValueError))

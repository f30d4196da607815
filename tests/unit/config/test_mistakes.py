"""Each kind of mistake is answered with its line, its key and a cure; all of a file in one run."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.config.written import GOOD, loaded, told


class Mistake(NamedTuple):
    kind: str
    text: str
    """What is added to a configuration that is in order; its first line is line 1."""
    line: int
    key: str
    said: str
    """What is wrong; what to do."""


def mistakes() -> Iterator[Mistake]:
    """Those of the mistakes_of_*.txt beside this file, which say how they are to be read."""
    for file in sorted(Path(__file__).parent.glob("mistakes_of_*.txt")):
        _, *blocks = file.read_text("utf-8").split("### ")
        yield from map(mistake_from, blocks)


def mistake_from(block: str) -> Mistake:
    kind, _, rest = block.partition("\n")
    text, _, answer = rest.partition("\n--- ")
    place, _, said = answer.strip().partition("\n")
    line, _, key = place.partition(" ")
    return Mistake(kind, text, int(line), key, said)


MISTAKES = list(mistakes())


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.kind for mistake in MISTAKES])
def test_a_mistake_is_answered_with_line_key_and_cure(tmp_path: Path, mistake: Mistake) -> None:
    found = loaded(tmp_path, f"{mistake.text}\n{GOOD}")
    assert told(found) == [(mistake.line, mistake.key, mistake.said)]
    assert str(found.problems[0]) == f"{tmp_path}/relay.toml:{mistake.line}: {mistake.key}: {mistake.said}"
    assert found.settings is None
    assert "hunter2" not in repr(found.problems)


SYNTAX = [
    ("hostname = relay.test", 1, "hostname", "Invalid value", 'put a text in "quotes"'),
    ("[queue]\nurl", 2, "", "Expected '=' after a key", "write key = value on one line"),
    ('hostname = "a" "b"', 1, "hostname", "Expected newline", "write one key = value on each line"),
    ('hostname = "a', 1, "hostname", "", "close the text with a quote"),
    ('state_dir = "C:\\state"', 1, "state_dir", "Unescaped", "write each \\ as \\\\"),
    ('hostname = "a"\nhostname = "b"', 2, "hostname", "Cannot overwrite", "remove one of the two"),
    ("[log]\n[queue]\n[log]", 3, "", "Cannot declare", "merge the two tables"),
    ('[alerts]\nto = ["a@b.test"\n[log]\n', 3, "", "Unclosed array", "close the list with ]"),
    ("[queue\nx = 1", 1, "", "Expected ']'", "write [table]"),
    ("a = { b = 1\n}", 1, "a", "Unclosed inline table", "close it with }"),
]


@pytest.mark.parametrize(("text", "line", "key", "what", "cure"), SYNTAX)
def test_a_syntax_error_stands_alone(tmp_path: Path, text: str, line: int, key: str, what: str, cure: str) -> None:
    [(told_line, told_key, said)] = told(loaded(tmp_path, f"{text}\n"))
    assert (told_line, told_key) == (line, key)
    assert said.startswith(f"not TOML: {what}")
    assert f"; {cure}" in said


EVERYTHING = """hostnam = "relay.test"
[queu]
url = "x"
[queue]
jitter = "0.2"
give_up = "5 days"
reserve = "16 mib"
[console]
address = "127.0.0.1"
[log]
level = "verbos"
[listener."a"]
security = "none"
require_tls = true
[listener."b"]
address = "127.0.0.1:9225"
[client."one"]
username = "x"
password = "hunter2"
upstream = "isq"
networks = ["10.0.0.5/24"]
[client."two"]
username = "x"
password = { env = "A", file = "b" }
upstream = ["isp", "ips"]
delivery = "at once"
[upstream."isp"]
type = "smtp"
hots = "mail.test"
[upstream."m"]
type = "microsoft365"
mailbox = "practice.test"
credential = "certificate"
client_secret = { sealed = "x" }
"""


def test_all_mistakes_of_a_file_are_told_in_one_run(tmp_path: Path) -> None:
    assert [(line, key) for line, key, _ in told(loaded(tmp_path, EVERYTHING))] == [
        (1, "hostnam"),
        (2, "queu"),
        (5, "queue.jitter"),
        (6, "queue.give_up"),
        (7, "queue.reserve"),
        (9, "console.address"),
        (11, "log.level"),
        (12, "listener.a.address"),
        (14, "listener.a.require_tls"),
        (16, "listener.b.address"),
        (19, "client.one.password"),
        (20, "client.one.upstream"),
        (21, "client.one.networks"),
        (23, "client.two.username"),
        (24, "client.two.password"),
        (25, "client.two.upstream"),
        (26, "client.two.delivery"),
        (27, "upstream.isp.host"),
        (29, "upstream.isp.hots"),
        (30, "upstream.m.tenant"),
        (30, "upstream.m.client_id"),
        (30, "upstream.m.certificate"),
        (32, "upstream.m.mailbox"),
        (34, "upstream.m.client_secret"),
    ]

from pathlib import Path

import pytest

from relay.config.problems import Problem
from tests.unit.config.written import GOOD, loaded, settings

TABLES = GOOD + '[client."lab-analyser"]\nnetworks = ["10.0.0.0/8"]\nupstream = "isp"\n'


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = {
        "RELAY__HOSTNAME": "other.test",
        "RELAY__STATE_DIR": "/srv/relay",
        "RELAY__QUEUE__RETRY_FIRST": "10s",
        "RELAY__QUEUE__AMBIGUOUS_ATTEMPTS": "7",
        "RELAY__QUEUE__JITTER": "0.5",
        "RELAY__ALERTS__TO": '["a@b.test"]',
        "RELAY__UPSTREAM__ISP__HOST": "mail2.isp.test",
        "RELAY__UPSTREAM__ISP__MAX_CONNECTIONS": "2",
        "RELAY__UPSTREAM__ISP__CLIENT_CERTIFICATE": "own.pem",
        "RELAY__CLIENT__LAB_ANALYSER__NETWORKS": '["10.1.0.0/16"]',
        "RELAY__CLIENT__APP__RECEIPTS": "false",
        "RELAY__CLIENT__APP__DISCLAIMER_TEXT": "Confidential: [x] = 1",
        "UNRELATED": "x",
        "RELAY_CONFIG": "x",
    }
    text = TABLES.replace('host = "mail.isp.test"', 'host = "mail.isp.test"\nmax_connections = 9')
    got = settings(tmp_path, text, environ)
    assert (got.hostname, got.state_dir) == ("other.test", Path("/srv/relay"))
    assert (got.queue.retry_first, got.queue.ambiguous_attempts, got.queue.jitter) == (10.0, 7, 0.5)
    assert got.alerts.to == ("a@b.test",)
    assert (got.upstream["isp"].host, got.upstream["isp"].max_connections) == ("mail2.isp.test", 2)
    assert [str(network) for network in got.client["lab-analyser"].networks] == ["10.1.0.0/16"]
    assert got.client["app"].receipts is False
    assert got.client["app"].disclaimer_text == "Confidential: [x] = 1"


def test_for_a_secrets_key_the_text_is_the_secret(tmp_path: Path) -> None:
    variable = "RELAY__CLIENT__APP__PASSWORD"
    found = loaded(tmp_path, TABLES, {variable: "hunter2"})
    assert found.settings is not None
    password = found.settings.client["app"].password
    assert password is not None
    assert password.env == variable
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("text", "upstreams"), [("isp", ("isp",)), ('["isp", "other"]', ("isp", "other")), (' ["isp"]', ("isp",))]
)
def test_a_key_that_takes_a_name_or_a_list(tmp_path: Path, text: str, upstreams: tuple[str, ...]) -> None:
    more = '[upstream.other]\ntype = "capture"\n'
    got = settings(tmp_path, TABLES + more, {"RELAY__CLIENT__APP__UPSTREAM": text})
    assert got.client["app"].upstream == upstreams


@pytest.mark.parametrize(
    ("text", "env", "path"),
    [("-----BEGIN PRIVATE KEY-----\nx", "RELAY__TLS__PRIVATE_KEY", None), ("k.pem", None, "k.pem")],
)
def test_a_private_key_is_a_path_or_the_key(tmp_path: Path, text: str, env: str | None, path: str | None) -> None:
    got = settings(tmp_path, TABLES, {"RELAY__TLS__CERTIFICATE": "c.pem", "RELAY__TLS__PRIVATE_KEY": text})
    assert got.tls is not None
    key = got.tls.private_key
    assert key == tmp_path / path if path else getattr(key, "env", None) == env


def test_a_name_without_match_makes_a_lower_case_table(tmp_path: Path) -> None:
    environ = {
        "RELAY__UPSTREAM__SECOND_ISP__TYPE": "smtp",
        "RELAY__UPSTREAM__SECOND_ISP__HOST": "second.test",
        "RELAY__LISTENER__A__B__ADDRESS": "*:2526",
    }
    got = settings(tmp_path, TABLES, environ)
    assert got.upstream["second_isp"].host == "second.test"
    assert list(got.listener) == ["a__b"]


def test_a_whole_configuration_can_come_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "RELAY__CLIENT__APP__USERNAME": "app",
        "RELAY__CLIENT__APP__PASSWORD": "x",
        "RELAY__CLIENT__APP__UPSTREAM": "gmail",
        "RELAY__UPSTREAM__GMAIL__TYPE": "gmail",
        "RELAY__UPSTREAM__GMAIL__USERNAME": "a@gmail.com",
        "RELAY__UPSTREAM__GMAIL__APP_PASSWORD": "abcd",
    }
    got = settings(tmp_path, "", environ)
    assert got.upstream["gmail"].host == "smtp.gmail.com"
    assert got.client["app"].upstream == ("gmail",)


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("RELAY__QUEUE__URLL", "x", "no setting has this name; the nearest is RELAY__QUEUE__URL"),
        ("RELAY__HOSTNAM", "x", "no setting has this name; the nearest is RELAY__HOSTNAME"),
        ("RELAY__CLIENT__APP__USER", "x", "no setting has this name; the nearest is RELAY__CLIENT__APP__USERNAME"),
        ("RELAY__QUEUES__URL", "x", "no setting has this name; the nearest is RELAY__QUEUE__URL"),
        ("RELAY__CLIENT__USERNAME", "x", "names no table or no key; write it like RELAY__CLIENT__NAME__KEY"),
        ("RELAY__queue__url", "x", "no setting has this name; the nearest is RELAY__QUEUE__URL"),
        ("RELAY__LOG__ZZZ", "x", "no setting has this name; the keys after RELAY__LOG__ are FORMAT, LEVEL, ADDRESSES"),
        ("RELAY__ZZZ", "x", "no setting has this name; start it with one of RELAY__HOSTNAME, RELAY__STATE_DIR, "),
        ("RELAY__QUEUE__RETRY_FIRST", "soon", '"soon" is not a duration; write a number and one of ms, s'),
        (
            "RELAY__QUEUE__JITTER",
            "x y",
            'not a value of TOML; write it as it would stand after "jitter =" in relay.toml',
        ),
        ("RELAY__CLIENT__APP__RECEIPTS", "yes", 'not a value of TOML; write it as it would stand after "receipts ='),
        ("RELAY__QUEUE__AMBIGUOUS_ATTEMPTS", '"3"', "expected a whole number, not a text; write 3 without quotes"),
        ("RELAY__LISTENER__NEW__SECURITY", "none", '"address" is missing; add address = "127.0.0.1:2525"'),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, text: str, said: str) -> None:
    found = loaded(tmp_path, TABLES, {variable: text})
    [problem] = found.problems
    assert (problem.file, problem.line, problem.key) == ("environment", None, variable)
    assert problem.text.startswith(said)
    assert str(problem) == f"environment: {variable}: {problem.text}"


def test_problems_of_the_file_come_before_those_of_the_environment(tmp_path: Path) -> None:
    found = loaded(tmp_path, "x = 1\n" + TABLES, {"RELAY__X": "y"})
    assert [problem.line for problem in found.problems] == [1, None]


def test_a_problem_without_a_key_is_said_without() -> None:
    assert str(Problem("relay.toml", None, "", "x; y")) == "relay.toml: x; y"

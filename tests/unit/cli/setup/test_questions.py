"""What setup asks: every question has a flag, and a wrong answer is explained."""

import pytest
import typer
from typer.core import TyperGroup

from relay.cli.command import application
from relay.cli.setup.questions import question_of, questions
from relay.config.settings import UPSTREAM_TYPES


def flags() -> set[str]:
    root = typer.main.get_command(application())
    assert isinstance(root, TyperGroup)
    return {option for parameter in root.commands["setup"].params for option in parameter.opts}


def test_every_question_has_a_flag_of_its_own() -> None:
    for question in questions():
        assert question.option in flags(), question.key
        if question.secret:
            assert question.option.removesuffix("-file") + "-env" in flags(), question.key
            assert question.option.removesuffix("-file") not in flags(), f"{question.key} by the flag's value"


def test_questions_of_one_flag_are_never_asked_together() -> None:
    seen: dict[str, list[dict[str, tuple[str, ...]]]] = {}
    for question in questions():
        for other in seen.setdefault(question.flag, []):
            shared = other.keys() & question.when.keys()
            assert any(not set(other[key]) & set(question.when[key]) for key in shared), question.key
        seen[question.flag].append(dict(question.when))


def test_every_kind_of_upstream_can_be_chosen() -> None:
    assert set(UPSTREAM_TYPES) | {"simulator"} == set(question_of("provider").choices)


@pytest.mark.parametrize(
    ("key", "answer", "said"),
    [
        ("provider", "exchange", "type one of: microsoft365, gmail"),
        ("mailbox", "", "an answer is needed"),
        ("mailbox", "reception", "not an e-mail address"),
        ("tenant", "clinic", "Directory (tenant) ID"),
        ("client_id", "clinic.test", "Application (client) ID"),
        ("client_secret", "11111111-2222-3333-4444-555555555555", "Secret ID"),
        ("client_secret", "", "an answer is needed"),
        ("client_secret", "a\x1b[Ab", "type it again"),
        ("client_secret_expires", "May 2027", "2027-05-31"),
        ("client_secret_expires", "2027-02-30", "2027-05-31"),
        ("app_password", "hunter2", "16 small letters"),
        ("region", "Sydney", "ap-southeast-2"),
        ("host", "smtp.isp.test:25", "port"),
        ("port", "many", "write digits"),
        ("port", "70000", "out of range"),
        ("networks", "10.0.0.0/8, 10.1", "10.20.30.0/24"),
        ("senders", "clinic.test", "@clinic.test"),
        ("listen", "2525", "127.0.0.1:2525"),
        ("listen", "*:25, nowhere", "port"),
        ("alerts_to", "it@clinic.test, jo", "not an e-mail address"),
        ("test_to", "jo", "not an e-mail address"),
    ],
)
def test_a_wrong_answer_is_explained(key: str, answer: str, said: str) -> None:
    question = question_of(key)
    fault = question.fault_in(answer, question.choices)
    assert fault is not None
    assert said in fault
    if question.secret and answer:
        assert answer not in fault


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("mailbox", "o'brien@clinic.test"),
        ("tenant", "clinic.onmicrosoft.com"),
        ("client_secret", "x8Q~abc def'\"$"),
        ("client_secret_expires", "2027-05-31"),
        ("client_secret_expires", ""),
        ("app_password", "abcd efgh ijkl mnop"),
        ("app_password", "abcdefghijklmnop"),
        ("listen", "*:587, [::1]:25"),
        ("senders", "no-reply@clinic.test, @north.test"),
        ("networks", "10.0.0.0/8"),
        ("port", "2587"),
    ],
)
def test_a_right_answer_will_do(key: str, answer: str) -> None:
    assert question_of(key).fault_in(answer, {}) is None

"""[upstream.NAME] of type ses: what the region and the port set, and what goes together."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config.load import load

SMTP = 'username = "AKIA"\npassword = { env = "P" }\n'


def loaded(tmp_path: Path, keys: str) -> tuple[dict[str, object], list[str]]:
    path = tmp_path / "relay.toml"
    path.write_text(f'state_dir = "{tmp_path}"\n[upstream."ses"]\ntype = "ses"\n{keys}\n')
    found = load(path, {"P": "p"})
    table = found.settings.upstream["ses"].model_dump() if found.settings else {}
    return table, [f"{problem.key.rpartition('.')[2]}: {problem.text}" for problem in found.problems]


@pytest.mark.parametrize(
    ("keys", "host", "port", "security"),
    [
        ('region = "ap-southeast-2"\n', "email-smtp.ap-southeast-2.amazonaws.com", 587, "starttls"),
        ('region = "us-gov-west-1"\nport = 465\n', "email-smtp.us-gov-west-1.amazonaws.com", 465, "implicit"),
        ('region = "eu-west-1"\nport = 2465\n', "email-smtp.eu-west-1.amazonaws.com", 2465, "implicit"),
        ('region = "eu-west-1"\nport = 2587\n', "email-smtp.eu-west-1.amazonaws.com", 2587, "starttls"),
        ('region = "eu-west-1"\nport = 25\n', "email-smtp.eu-west-1.amazonaws.com", 25, "starttls"),
        ('region = "eu-west-1"\nsecurity = "implicit"\n', "email-smtp.eu-west-1.amazonaws.com", 465, "implicit"),
        (
            'region = "eu-west-1"\nport = 465\nsecurity = "starttls"\n',
            "email-smtp.eu-west-1.amazonaws.com",
            465,
            "starttls",
        ),
        ('region = "cn-north-1"\n', "email-smtp.cn-north-1.amazonaws.com.cn", 587, "starttls"),
        ('region = "eusc-de-east-1"\n', "email-smtp.eusc-de-east-1.amazonaws.eu", 587, "starttls"),
        ('host = "vpce-1.email-smtp.test"\nregion = "eu-west-1"\n', "vpce-1.email-smtp.test", 587, "starttls"),
    ],
)
def test_by_smtp(tmp_path: Path, keys: str, host: str, port: int, security: str) -> None:
    table, problems = loaded(tmp_path, keys + SMTP)
    assert problems == []
    assert (table["host"], table["port"], table["security"]) == (host, port, security)
    assert table["recipients_per_message"] == 50


@pytest.mark.parametrize(
    ("keys", "host"),
    [
        ("", "email.ap-southeast-2.amazonaws.com"),
        ('username = "AKIA"\nsecret_access_key = { env = "P" }\n', "email.ap-southeast-2.amazonaws.com"),
        (
            'host = "vpce-0abc.email.ap-southeast-2.vpce.amazonaws.com"\n',
            "vpce-0abc.email.ap-southeast-2.vpce.amazonaws.com",
        ),
    ],
)
def test_by_the_api(tmp_path: Path, keys: str, host: str) -> None:
    table, problems = loaded(tmp_path, f'via = "api"\nregion = "ap-southeast-2"\n{keys}')
    assert problems == []
    assert (table["host"], table["port"], table["security"], table["max_message_size"]) == (
        host,
        443,
        "implicit",
        40 << 20,
    )


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        (SMTP, ['region: "region" is missing; add region = "ap-southeast-2"']),
        ('region = "sydney"\n' + SMTP, ['region: "sydney" is not a region of AWS; write it like "ap-southeast-2"']),
        ('region = "ap-southeast-2a"\n' + SMTP, ['region: "ap-southeast-2a" is not a region of AWS']),
        ('region = "eu-west-1"\n', ['username: "username" is missing', 'password: "password" is missing']),
        ('region = "eu-west-1"\nsecret_access_key = { env = "P" }\n', ['username: "username" is missing']),
        (
            'region = "eu-west-1"\nsecret_access_key = { env = "P" }\n' + SMTP,
            ["password: impossible beside secret_access_key"],
        ),
        ('via = "api"\n', ['region: "region" is missing']),
        (
            'via = "api"\nregion = "eu-west-1"\nusername = "AKIA"\n',
            ['secret_access_key: "secret_access_key" is missing'],
        ),
        (
            'via = "api"\nregion = "eu-west-1"\n' + SMTP,
            ['password: impossible with via = "api"', 'secret_access_key: "secret_access_key" is missing'],
        ),
        ('via = "api"\nregion = "eu-west-1"\nsecurity = "starttls"\n', ['security: impossible with via = "api"']),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, keys: str, problems: list[str]) -> None:
    found = sorted(loaded(tmp_path, keys)[1])
    assert len(found) == len(problems)
    for said, expected in zip(found, sorted(problems), strict=True):
        assert said.startswith(expected)

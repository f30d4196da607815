from pathlib import Path
from typing import Any

import pytest

from relay.config.aws_secret import aws_secret, region_of
from relay.config.problems import ConfigError
from relay.config.seal import SealedStore
from relay.config.secret_reference import SecretReference
from relay.config.secrets import Secret, Secrets, file_secret


def secrets(folder: Path, **environ: str) -> Secrets:
    return Secrets(environ, SealedStore(folder / "state", {}))


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"hunter2\n\n", "hunter2\n"),
        (b" hunter2 \n", " hunter2 "),
        (b"hunter2\r", "hunter2\r"),
        ("pässword\n".encode(), "pässword"),
    ],
)
def test_a_file_is_its_whole_content_less_one_line_end(tmp_path: Path, content: bytes, secret: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert secrets(tmp_path).resolve(SecretReference(file=tmp_path / "secret")) == secret


def test_a_variable_and_a_sealed_name(tmp_path: Path) -> None:
    found = secrets(tmp_path, PASSWORD="hunter2")
    found.store.set("isp", "hunter3")
    assert found.resolve(SecretReference(env="PASSWORD")) == "hunter2"
    assert found.resolve(SecretReference(sealed="isp")) == "hunter3"
    found.store.set("isp", "hunter4")
    assert found.resolve(SecretReference(sealed="isp")) == "hunter4"


def test_a_key_stands_for_a_path_or_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("PEM\n")
    assert secrets(tmp_path).text_of(tmp_path / "key.pem") == "PEM"
    assert secrets(tmp_path, KEY="PEM").text_of(SecretReference(env="KEY")) == "PEM"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (
            SecretReference(env="NONE"),
            "the environment variable NONE is not set; set it for the process that runs relay",
        ),
        (SecretReference(env="EMPTY"), "the environment variable EMPTY is empty; set it"),
        (SecretReference(sealed="none"), 'the sealed store has no secret "none"; type: relay secret set none'),
        (SecretReference(file=Path("/nonexistent")), "/nonexistent: No such file or directory; make it"),
        (SecretReference(file=Path("/")), "/: Is a directory; name a file"),
        (SecretReference(file=Path("/dev/null")), "/dev/null: is empty; write the secret into it"),
        (SecretReference(file=Path("/dev/zero")), "/dev/zero: too large to be a secret"),
    ],
)
def test_what_is_not_there_is_said_with_its_cure(tmp_path: Path, reference: SecretReference, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        secrets(tmp_path, EMPTY="").resolve(reference)
    assert str(caught.value).startswith(said)
    assert not caught.value.passing


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not a text in UTF-8"):
        file_secret(tmp_path / "secret")


def test_a_secret_shows_itself_to_nobody_by_accident() -> None:
    secret = Secret("hunter2")
    assert repr(secret) == "Secret('***')"
    assert "hunter2" not in f"{[secret]} { ({'password': secret})!r}"
    assert secret == "hunter2"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (SecretReference(env="A"), '{ env = "A" }'),
        (SecretReference(aws="relay/ses", key="k"), '{ aws = "relay/ses", key = "k" }'),
    ],
)
def test_a_reference_says_itself_as_it_is_written(reference: SecretReference, text: str) -> None:
    assert str(reference) == text


class RefusalError(OSError):
    """As botocore's ClientError: carries the answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class Service:
    """Stands for boto3's client."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self._answer = answer

    def get_secret_value(self, SecretId: str) -> dict[str, Any]:  # noqa: N803  boto3's name
        assert SecretId == "relay/ses"
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("text", "key", "secret"),
    [
        ("hunter2", None, "hunter2"),
        ('{"smtp_password": "hunter2"}', "smtp_password", "hunter2"),
        ('{"a": 1}', None, '{"a": 1}'),
    ],
)
def test_a_secret_of_aws(text: str, key: str | None, secret: str) -> None:
    assert aws_secret("relay/ses", key, Service({"SecretString": text})) == secret


@pytest.mark.parametrize(
    ("answer", "key", "said", "passing"),
    [
        ({"SecretBinary": b"x"}, None, "relay/ses: holds octets, not text", False),
        ({"SecretString": "hunter2"}, "k", 'relay/ses: is no JSON object, so it has no "k"; leave key out', False),
        ({"SecretString": '{"b": "hunter2"}'}, "k", 'relay/ses: has no text under "k"; its keys are b', False),
        (RefusalError("ResourceNotFoundException"), None, "relay/ses: AWS knows no such secret; check its name", False),
        (
            RefusalError("AccessDeniedException"),
            None,
            "relay/ses: AWS denies it; allow secretsmanager:GetSecretValue",
            False,
        ),
        (RefusalError("ThrottlingException"), None, "relay/ses: AWS Secrets Manager cannot be reached (Thr", True),
        (TimeoutError(), None, "relay/ses: AWS Secrets Manager cannot be reached (TimeoutError)", True),
    ],
)
def test_what_aws_may_say(answer: dict[str, Any] | Exception, key: str | None, said: str, passing: bool) -> None:
    with pytest.raises(ConfigError) as caught:
        aws_secret("relay/ses", key, Service(answer))
    assert str(caught.value).startswith(said)
    assert caught.value.passing is passing
    assert "hunter2" not in str(caught.value)


def test_without_boto3_the_message_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r'boto3 is not installed; type: pip install "relay-connector\[aws\]"'
    ) as caught:
        secrets(tmp_path).resolve(SecretReference(aws="relay/ses"))
    assert caught.value.passing


@pytest.mark.parametrize(
    ("secret_id", "environ", "region"),
    [
        ("relay/ses", {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, "eu-west-1"),
        ("relay/ses", {"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
        ("relay/ses", {}, None),
        ("arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:relay/ses-AbCdEf", {}, "ap-southeast-2"),
    ],
)
def test_the_region_of_a_secret(secret_id: str, environ: dict[str, str], region: str | None) -> None:
    assert region_of(secret_id, environ) == region

import ipaddress
from base64 import b64encode
from pathlib import Path

import pytest

from relay.config.problems import ConfigError
from relay.config.secret_reference import SecretReference
from relay.config.settings import Settings
from relay.inbound import login, replies
from relay.inbound.clients import Clients
from relay.inbound.login import Login
from relay.inbound.passwords import Passwords
from relay.inbound.premises import Premises
from relay.journal import Journal
from relay.metrics import Metrics
from relay.reply import Reply
from relay.spool.contract import Arrival, Draft, SpoolError

ADDRESS = ipaddress.ip_address("10.0.0.1")


class Known:
    def __init__(self) -> None:
        self.asked = 0
        self.error: ConfigError | None = None
        self.text = "geheim"

    def resolve(self, reference: SecretReference) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.text

    def text_of(self, place: Path | SecretReference) -> str:
        raise AssertionError(place)


class NoIntake:
    def next_id(self) -> str:
        raise AssertionError

    def refusal(self) -> SpoolError | None:
        raise AssertionError

    def waiting(self, client: str) -> int:
        raise AssertionError

    def draft(self) -> Draft:
        raise AssertionError

    async def put(self, arrival: Arrival) -> None:
        raise AssertionError


class Scene:
    """One relay, and any number of connections to it from one address."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.secrets = Known()
        self.slept: list[float] = []
        self.now = 0.0
        tables = {
            "hostname": "relay.test",
            "upstream": {"isp": {"type": "smtp", "host": "isp.test", "port": 25}},
            "client": {"careright": {"username": "careright", "password": {"env": "P"}, "upstream": "isp"}},
        }
        settings = Settings.model_validate(tables)
        journal = Journal(Metrics("test"))
        self.premises = Premises(settings, self.secrets, NoIntake(), journal, monotonic=lambda: self.now)

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        monkeypatch.setattr(login.asyncio, "sleep", sleep)  # type: ignore[attr-defined]

    def connect(self) -> Login:
        return Login(self.premises, "door", ADDRESS, str(ADDRESS))

    async def plain(self, on: Login, password: str, username: str = "careright") -> Reply:
        said = on.begin("PLAIN", b64encode(f"\0{username}\0{password}".encode()))
        return said if isinstance(said, Reply) else await said


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


async def test_three_failures_at_once_and_then_the_end(scene: Scene) -> None:
    connection = scene.connect()
    for _ in range(3):
        assert await scene.plain(connection, "wrong") == replies.CREDENTIALS_INVALID
    assert await scene.plain(connection, "geheim") == replies.TOO_MANY_FAILURES
    assert scene.slept == []


async def test_after_ten_only_further_failures_are_delayed(scene: Scene) -> None:
    for _ in range(4):
        connection = scene.connect()
        for _ in range(3):
            await scene.plain(connection, "wrong")
    assert scene.slept == [1.0, 2.0]
    assert await scene.plain(scene.connect(), "geheim") == replies.AUTHENTICATED
    assert scene.slept == [1.0, 2.0]


async def test_unknown_names_end_in_421_but_not_for_those_who_logged_in(scene: Scene) -> None:
    async def guess(times: int) -> None:
        for number in range(times):
            await scene.plain(scene.connect(), "x", f"guess{number}")

    await guess(100)
    assert await scene.plain(scene.connect(), "geheim") == replies.ADDRESS_BLOCKED
    scene.now += 600
    assert await scene.plain(scene.connect(), "geheim") == replies.AUTHENTICATED
    await guess(100)
    assert await scene.plain(scene.connect(), "geheim") == replies.AUTHENTICATED


async def test_what_is_no_failure(scene: Scene) -> None:
    connection = scene.connect()
    for mechanism, initial, challenge, response, said in [
        ("LOGIN", None, "VXNlcm5hbWU6", b"*", replies.AUTH_CANCELLED),
        ("PLAIN", None, "", b"!!", replies.AUTH_UNDECODABLE),
        ("PLAIN", b"!!", None, b"", replies.AUTH_UNDECODABLE),
        ("NTLM", None, None, b"", replies.MECHANISM_UNKNOWN),
        ("PLAIN", b64encode(b"no"), None, b"", replies.AUTH_UNDECODABLE),
        ("LOGIN", b64encode(b"me"), "UGFzc3dvcmQ6", b"A" * 12_289, replies.LINE_TOO_LONG),
    ]:
        first = connection.begin(mechanism, initial)
        assert first == (said if challenge is None else Reply(334, None, challenge))
        assert connection.under_way == (challenge is not None)
        if challenge is not None:
            assert connection.respond(response) == said
            assert not connection.under_way
    assert await scene.plain(connection, "geheim") == replies.AUTHENTICATED


def test_every_challenge_is_another(scene: Scene) -> None:
    said = {str(scene.connect().begin("CRAM-MD5", None)) for _ in range(20)}
    assert len(said) == 20


async def test_a_password_that_cannot_be_had(scene: Scene) -> None:
    connection = scene.connect()
    scene.secrets.error = ConfigError("the service is away", passing=True)
    for _ in range(5):
        assert await scene.plain(connection, "geheim") == replies.SECRET_UNAVAILABLE
    scene.secrets.error = None
    assert await scene.plain(connection, "geheim") == replies.AUTHENTICATED


@pytest.mark.parametrize("name", ["careright2", "", "CARERIGHT", "careright "])
async def test_names_are_compared_exactly(scene: Scene, name: str) -> None:
    assert await scene.plain(scene.connect(), "geheim", name) in (replies.CREDENTIALS_INVALID, replies.AUTH_UNDECODABLE)


def test_passwords_are_asked_for_once_a_second() -> None:
    known, now = Known(), [0.0]
    passwords = Passwords(known, lambda: now[0])
    reference = SecretReference(env="P")
    for _ in range(5):
        assert passwords.known(reference) == "geheim"
    assert known.asked == 1
    known.text = "other"
    now[0] = 1.1
    assert passwords.known(reference) == "other"


async def test_a_secret_service_is_asked_every_five_minutes_and_in_a_thread() -> None:
    known, now = Known(), [0.0]
    passwords = Passwords(known, lambda: now[0])
    reference = SecretReference(aws="relay/careright")
    assert passwords.known(reference) is None
    assert await passwords.asked(reference) == "geheim"
    now[0] = 299.0
    assert passwords.known(reference) == "geheim"
    now[0] = 301.0
    assert passwords.known(reference) is None
    assert known.asked == 1


async def test_a_password_from_a_secret_service(scene: Scene) -> None:
    client = scene.premises.clients.with_username("careright")
    assert client is not None
    remote = client.settings.model_copy(update={"password": SecretReference(aws="relay/careright")})
    scene.premises.clients = Clients({"careright": remote})
    scene.secrets.error = ConfigError("the service is away", passing=True)
    assert await scene.plain(scene.connect(), "geheim") == replies.SECRET_UNAVAILABLE
    scene.secrets.error = None
    assert await scene.plain(scene.connect(), "wrong") == replies.CREDENTIALS_INVALID
    assert await scene.plain(scene.connect(), "geheim") == replies.AUTHENTICATED

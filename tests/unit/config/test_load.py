import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.config.endpoint import Address
from relay.config.load import find, load
from relay.config.microsoft365_settings import Microsoft365Settings
from relay.config.provider_settings import GmailSettings, SmtpSettings
from relay.config.schema import NAMED, SINGLE, keys_of
from relay.config.ses_settings import SesSettings
from relay.config.settings import UPSTREAM_TYPES, GeneralSettings, Settings, default_state_dir
from tests.unit.config.written import GOOD, UPSTREAM, settings

EVERY_KEY = Path(__file__).with_name("every_key.toml")


def every_setting() -> Settings:
    found = load(EVERY_KEY, {})
    assert found.problems == (), "\n".join(map(str, found.problems))
    assert found.settings is not None
    return found.settings


def keys_of_the_contract() -> Iterator[tuple[str, str]]:
    for key in keys_of(GeneralSettings):
        yield "", key
    for table, model in (*SINGLE.items(), *NAMED.items(), *UPSTREAM_TYPES.items()):
        for key in keys_of(model):
            yield table, key


def test_every_key_is_accepted_and_the_file_holds_every_key() -> None:
    found = load(EVERY_KEY, {})
    assert found.problems == ()
    assert found.document is not None
    given = {("", key) for key in found.document.tables}
    for table, value in found.document.tables.items():
        tables = value.values() if table in NAMED else [value] if isinstance(value, dict) else []
        for each in tables:
            kinds = {table, each.get("type", table)}
            given |= {(kind, key) for kind in kinds for key in each}
    for_all_upstreams = set(keys_of(NAMED["upstream"]))
    wanted = {
        (table, key)
        for table, key in keys_of_the_contract()
        if table != "upstream" and not (table in UPSTREAM_TYPES and key in for_all_upstreams)
    }
    assert wanted - given == set()
    assert {("upstream", key) for key in for_all_upstreams} - given == set()


@pytest.mark.parametrize(("table", "key"), list(keys_of_the_contract()))
def test_every_key_has_a_meaning(table: str, key: str) -> None:
    model = {"": GeneralSettings, **SINGLE, **NAMED, **UPSTREAM_TYPES}[table]
    assert len(keys_of(model)[key].description or "") > 5


def test_values_arrive_with_their_types() -> None:
    got = every_setting()
    assert got.hostname == "relay.practice.test"
    assert got.state_dir == EVERY_KEY.parent / "state"
    assert got.tls is not None
    assert got.tls.certificate == EVERY_KEY.parent / "tls/chain.pem"
    listener = got.listener["submission"]
    assert listener.address == Address("127.0.0.1", 2587)
    assert listener.max_message_size == 150 << 20
    assert listener.idle_timeout == 240.0
    assert listener.auth == ("CRAM-MD5", "PLAIN", "LOGIN")
    balanced = got.listener["balanced"]
    assert balanced.address == Address("::1", 2465)
    assert balanced.learn_until == datetime.datetime(2026, 12, 24, tzinfo=datetime.UTC)
    assert balanced.proxy_from == (ipaddress.IPv4Network("10.0.0.0/16"), ipaddress.IPv6Network("fd00::/8"))
    client = got.client["careright"]
    assert client.upstream == client.upstreams == ("office365", "ses")
    assert not client.shares
    assert client.password is not None
    assert client.password.env == "CARERIGHT_PASSWORD"
    assert client.deadline == 12 * 3600.0
    assert got.client["lab-analyser"].upstream == ("office365",)
    assert got.client["lab-analyser"].networks == (ipaddress.IPv4Network("10.20.30.0/24"),)
    assert got.identity["north"].from_ == "no-reply@practice.test"
    assert got.queue.reserve == 32 << 20
    assert got.queue.jitter == 0.1
    assert got.console.address == Address("127.0.0.1", 8125)


def test_the_least_configuration_gets_the_defaults_of_the_contract(tmp_path: Path) -> None:
    got = settings(tmp_path, GOOD)
    assert list(got.listener) == ["submission"]
    listener = got.listener["submission"]
    assert (listener.address, listener.security, listener.require_tls) == (Address("127.0.0.1", 2525), "starttls", True)
    assert (listener.minimum_tls, listener.max_message_size, listener.max_connections) == ("1.2", 35 << 20, 500)
    client = got.client["app"]
    assert (client.max_waiting, client.max_recipients, client.deadline) == (10000, 500, 5 * 86400.0)
    assert (client.display_name, client.delivery, client.priority, client.receipts) == (
        "{name}",
        "queue",
        "normal",
        True,
    )
    queue = got.queue
    assert queue.url == f"sqlite:///{got.state_dir}/queue.db"
    assert (queue.retry_first, queue.retry_most, queue.jitter) == (30.0, 3600.0, 0.2)
    assert (queue.give_up, queue.delay_notice, queue.retry_ambiguous) == (5 * 86400.0, 4 * 3600.0, 300.0)
    assert (queue.ambiguous_attempts, queue.reserve, queue.keep_trace) == (3, 16 << 20, 90 * 86400.0)
    assert (got.alerts.expiry_warning, got.alerts.stuck_after) == (14 * 86400.0, 1800.0)
    assert got.metrics.address == Address("127.0.0.1", 9225)
    assert got.console.address is None
    assert (got.log.format, got.log.level, got.log.addresses) == ("json", "info", "masked")
    upstream = got.upstream["isp"]
    assert upstream.ehlo_name == got.hostname
    assert (upstream.verify, upstream.long_lines, upstream.failover_after, upstream.timeout) == (
        "peer",
        "keep",
        300.0,
        60.0,
    )


MICROSOFT = """
type = "microsoft365"
mailbox = "no-reply@practice.test"
tenant = "practice.test"
client_id = "66666666-7777-8888-9999-000000000000"
"""


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            MICROSOFT + 'client_secret = { env = "X" }',
            {
                "host": "smtp.office365.com",
                "port": 587,
                "security": "starttls",
                "credential": "client_secret",
                "max_connections": 3,
                "messages_per_minute": 30,
                "recipients_per_day": 10000,
                "recipients_per_message": 500,
                "session_limit": 900.0,
                "authority": "https://login.microsoftonline.com/practice.test",
                "scope": "https://outlook.office365.com/.default",
                "account": "no-reply@practice.test",
            },
        ),
        (MICROSOFT + 'credential = "device_code"', {"scope": "https://outlook.office.com/SMTP.Send"}),
        (
            MICROSOFT + 'credential = "device_code"\ncloud = "us-gov-dod"',
            {"host": "outlook-dod.office365.us", "scope": "https://outlook-dod.office365.us/SMTP.Send"},
        ),
        (
            MICROSOFT + 'client_secret = { env = "S" }\ncloud = "us-gov-high"',
            {
                "host": "smtp.office365.us",
                "authority": "https://login.microsoftonline.us/practice.test",
                "scope": "https://outlook.office365.us/.default",
            },
        ),
        (
            MICROSOFT + 'client_secret = { env = "S" }\ncloud = "china"',
            {
                "host": "smtp.partner.outlook.cn",
                "authority": "https://login.partner.microsoftonline.cn/practice.test",
                "scope": "https://partner.outlook.cn/.default",
            },
        ),
        (
            MICROSOFT + 'client_secret = { env = "S" }\nvia = "graph"',
            {
                "host": "graph.microsoft.com",
                "port": 443,
                "security": "implicit",
                "scope": "https://graph.microsoft.com/.default",
                "authority": "https://login.microsoftonline.com/practice.test",
                "max_connections": 4,
                "messages_per_minute": 30,
                "max_message_size": 150 << 20,
            },
        ),
        (
            MICROSOFT + 'credential = "device_code"\nvia = "graph"\ncloud = "us-gov-high"',
            {"host": "graph.microsoft.us", "scope": "https://graph.microsoft.us/Mail.Send"},
        ),
        (
            MICROSOFT + 'client_secret = { env = "S" }\nvia = "graph"\ncloud = "us-gov-dod"',
            {"host": "dod-graph.microsoft.us", "scope": "https://dod-graph.microsoft.us/.default"},
        ),
        (
            MICROSOFT + 'client_secret = { env = "S" }\nvia = "graph"\ncloud = "china"',
            {
                "host": "microsoftgraph.chinacloudapi.cn",
                "authority": "https://login.partner.microsoftonline.cn/practice.test",
            },
        ),
        (MICROSOFT + 'certificate = "c"\nprivate_key = "k"', {"credential": "certificate"}),
        (
            'type = "gmail"\nusername = "practice@gmail.com"\napp_password = { env = "X" }',
            {
                "host": "smtp.gmail.com",
                "port": 587,
                "security": "starttls",
                "recipients_per_message": 100,
                "recipients_per_day": 500,
                "account": "practice@gmail.com",
            },
        ),
        ('type = "gmail"\nusername = "a@practice.test"\napp_password = { env = "X" }', {"recipients_per_day": 10000}),
        (
            'type = "ses"\nregion = "ap-southeast-2"\nusername = "u"\npassword = { env = "X" }',
            {
                "host": "email-smtp.ap-southeast-2.amazonaws.com",
                "port": 587,
                "recipients_per_message": 50,
                "account": None,
            },
        ),
        ('type = "smtp"\nhost = "h.test"', {"port": 587, "security": "starttls", "auth": "auto"}),
        ('type = "smtp"\nhost = "h.test"\nsecurity = "implicit"', {"port": 465}),
        ('type = "smtp"\nhost = "h.test"\nsecurity = "none"', {"port": 25}),
        ('type = "smtp"\nhost = "h.test"\nsecurity = "none"\nport = 2500', {"port": 2500}),
        ('type = "smtp"\npreset = "connector"\nhost = "h.test"', {"port": 25, "auth": "none", "security": "starttls"}),
        (
            'type = "smtp"\npreset = "acs"\nusername = "u"\npassword = { env = "X" }',
            {"host": "smtp.azurecomm.net", "messages_per_minute": 30, "recipients_per_message": 50},
        ),
        (
            'type = "smtp"\npreset = "yahoo"\nport = 587\nsecurity = "starttls"',
            {"host": "smtp.mail.yahoo.com", "port": 587},
        ),
        ('type = "smtp"\npreset = "yahoo"\nsecurity = "starttls"', {"port": 587}),
        ('type = "capture"', {"keep": 7 * 86400.0}),
    ],
)
def test_the_type_of_an_upstream_sets_its_defaults(tmp_path: Path, table: str, expected: dict[str, object]) -> None:
    upstream = settings(tmp_path, f'[upstream."x"]\n{table}\n').upstream["x"]
    assert {key: getattr(upstream, key) for key in expected} == expected


def test_what_is_given_wins_over_the_type() -> None:
    upstream = every_setting().upstream["office365"]
    assert isinstance(upstream, Microsoft365Settings)
    assert (upstream.max_connections, upstream.messages_per_minute, upstream.ehlo_name) == (2, 20, "out.practice.test")


@pytest.mark.parametrize(
    ("upstream", "address", "allowed"),
    [
        ("office365", "no-reply@practice.test", True),
        ("office365", "LAB@practice.test", True),
        ("office365", "other@practice.test", False),
        ("gmail", "practice@gmail.com", True),
        ("gmail", "other@gmail.com", False),
        ("workspace", "lab@practice.test", True),
        ("ses", "anybody@practice.test", True),
        ("isp", "anybody@practice.test", True),
    ],
)
def test_which_from_an_upstream_may_send_as(upstream: str, address: str, allowed: bool) -> None:
    assert every_setting().upstream[upstream].sends_as(address) is allowed


def test_sender_policy_is_the_clients_or_follows_from_the_upstream() -> None:
    got = every_setting()
    assert got.sender_policy("careright", "office365") == "reject"
    assert got.sender_policy("lab-analyser", "office365") == "rewrite"
    assert got.sender_policy("lab-analyser", "gmail") == "rewrite"
    assert got.sender_policy("lab-analyser", "ses") == "keep"


def test_give_up_is_the_sooner_of_deadline_and_queue(tmp_path: Path) -> None:
    got = settings(tmp_path, GOOD.replace('"isp"\n', '"isp"\ndeadline = "6d"\n', 1))
    assert every_setting().give_up_after("careright") == 12 * 3600.0
    assert every_setting().give_up_after(None) == 4 * 86400.0
    assert got.give_up_after("app") == 5 * 86400.0


def test_a_listener_without_tls_requires_none(tmp_path: Path) -> None:
    listener = settings(tmp_path, GOOD + '[listener.a]\naddress = "*:2525"\nsecurity = "none"\n').listener["a"]
    assert (listener.require_tls, listener.offers_starttls, listener.uses_tls) == (False, False, False)
    assert listener.address.bind_host is None


def test_relative_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    text = f'state_dir = "s"\n{UPSTREAM}ca_file = "ca.pem"\n[queue]\nurl = "sqlite:///q.db"\n'
    text += '[client.a]\nusername = "a"\npassword = { file = "../p" }\nupstream = "isp"\n'
    got = settings(tmp_path, text)
    assert got.state_dir == tmp_path / "s"
    assert got.upstream["isp"].ca_file == tmp_path / "ca.pem"
    assert got.queue.url == f"sqlite:///{tmp_path}/q.db"
    password = got.client["a"].password
    assert password is not None
    assert password.file == tmp_path / "../p"


def test_settings_can_be_made_by_a_program() -> None:
    got = Settings(
        hostname="relay.test",
        upstream={
            "isp": SmtpSettings(host="h.test"),
            "gmail": GmailSettings(username="a@b.test"),
            "ses": SesSettings(region="eu-west-1", username="u", password={"env": "X"}),  # type: ignore[arg-type]
        },
    )
    assert got.upstream["isp"].ehlo_name == "relay.test"
    assert got.upstream["ses"].host == "email-smtp.eu-west-1.amazonaws.com"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        every_setting().hostname = "other.test"


@pytest.mark.parametrize(
    ("option", "environ", "expected"),
    [
        ("given.toml", {"RELAY_CONFIG": "named.toml"}, "given.toml"),
        (None, {"RELAY_CONFIG": "named.toml"}, "named.toml"),
        (None, {}, "relay.toml"),
    ],
)
def test_find(
    option: str | None, environ: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relay.toml").touch()
    assert find(option, environ) == Path(expected)


def test_find_without_any_names_the_systems_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(None, {}) == Path("/etc/relay/relay.toml")


def test_find_in_places_that_cannot_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = (Path("x" * 300), Path("y" * 300))
    monkeypatch.setattr("relay.config.load.PLACES", hidden)
    assert find(None, {}) == hidden[1]


@pytest.mark.parametrize(("encoding", "prefix"), [("utf-8", b"\xef\xbb\xbf"), ("utf-8", b"")])
def test_windows_line_ends_and_byte_order_marks_are_read(tmp_path: Path, encoding: str, prefix: bytes) -> None:
    path = tmp_path / "relay.toml"
    path.write_bytes(prefix + GOOD.replace("\n", "\r\n").encode(encoding))
    assert load(path, {}).problems == ()


@pytest.mark.parametrize(
    ("octets", "line", "words"),
    [
        ("hostname = 'x'\n[queue]\n".encode("utf-16"), 1, "save the file as UTF-8"),
        (b"hostname = 'x'\n# caf\xe9\n", 2, "save the file as UTF-8"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, None, "nested too deeply"),
        (b"b = 1\na = " + b"9" * 5000, 2, "too many digits"),
        (b"# " + b"x" * (5 << 20), None, "too large"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, octets: bytes, line: int | None, words: str) -> None:
    path = tmp_path / "relay.toml"
    path.write_bytes(octets)
    [problem] = load(path, {}).problems
    assert problem.line == line
    assert words in problem.text


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    [absent] = load(tmp_path / "none.toml", {}).problems
    assert str(absent).startswith(f"{tmp_path}/none.toml: there is no such file; name it with --config")
    [folder] = load(tmp_path, {}).problems
    assert "this is a folder" in folder.text


def test_state_dir_is_the_units_under_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/relay:/var/lib/more")
    assert default_state_dir() == Path("/var/lib/relay")


def test_upstreams_of_an_inner_list_share(tmp_path: Path) -> None:
    text = GOOD.replace('upstream = "isp"', 'upstream = [["isp", "b"], "c"]')
    text += '[upstream.b]\ntype = "smtp"\nhost = "b.test"\n[upstream.c]\ntype = "smtp"\nhost = "c.test"\n'
    client = settings(tmp_path, text).client["app"]
    assert client.upstream == (("isp", "b"), "c")
    assert client.upstreams == ("isp", "b", "c")
    assert client.shares

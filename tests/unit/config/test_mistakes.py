"""Each kind of mistake is answered with its line, its key and a cure; all of a file in one run."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.config.written import GOOD, UPSTREAM, loaded, told

SECRET_FORMS = (
    '{ env = "NAME" }, { file = "/run/secrets/NAME" }, { sealed = "NAME" } (after: relay secret set NAME) '
    'or { aws = "SECRET-ID" }'
)
MICROSOFT = """[upstream.m]
type = "microsoft365"
mailbox = "no-reply@practice.test"
tenant = "practice.test"
client_id = "66666666-7777-8888-9999-000000000000"
"""


class Mistake(NamedTuple):
    kind: str
    text: str
    """What is added to a configuration that is in order; its first line is line 1."""
    line: int
    key: str
    said: str
    """What is wrong; what to do."""


MISTAKES = [
    Mistake("unknown key", "hostnam = 'x'", 1, "hostnam", 'unknown key "hostnam"; write "hostname"'),
    Mistake(
        "unknown key in a table",
        '[listener.a]\naddress = "*:1"\nmax_conections = 5',
        3,
        "listener.a.max_conections",
        'unknown key "max_conections"; write "max_connections"',
    ),
    Mistake(
        "key in the wrong table",
        "retry_first = '30s'",
        1,
        "retry_first",
        'unknown key "retry_first"; it belongs in [queue]',
    ),
    Mistake(
        "top key under a table",
        "[log]\nhostname = 'x.test'",
        2,
        "log.hostname",
        'unknown key "hostname" here; it belongs at the top of the file, above the first [table]',
    ),
    Mistake(
        "key of another type",
        '[upstream.a]\ntype = "capture"\ntenant = "x"',
        3,
        "upstream.a.tenant",
        '"tenant" is no key of type "capture"; remove it, or make it type = "microsoft365"',
    ),
    Mistake("unknown table", "[queu]\nurl = 'x'", 1, "queu", 'unknown table "queu"; write [queue]'),
    Mistake(
        "table without a name",
        '[listener]\naddress = "*:1"',
        2,
        "listener.address",
        'stands in [listener], which holds tables with names; put it under [listener."submission"]',
    ),
    Mistake(
        "type: text for a number",
        '[queue]\nambiguous_attempts = "3"',
        2,
        "queue.ambiguous_attempts",
        "expected a whole number, not a text; write 3 without quotes",
    ),
    Mistake(
        "type: text for a truth",
        '[listener.a]\naddress = "*:1"\nproxy_protocol = "no"',
        3,
        "listener.a.proxy_protocol",
        "expected true or false, not a text; write false without quotes",
    ),
    Mistake(
        "type: number for a text",
        "hostname = 5",
        1,
        "hostname",
        'expected a text, not a number; write it in quotes: "..."',
    ),
    Mistake(
        "type: text for a list",
        '[alerts]\nto = "a@b.test"',
        2,
        "alerts.to",
        'expected a list; put it in brackets: ["a@b.test"]',
    ),
    Mistake(
        "type: value for a table",
        "queue = 5",
        1,
        "queue",
        "expected a table, not a number; write [queue] on a line of its own",
    ),
    Mistake(
        "duration",
        '[queue]\ngive_up = "5 days"',
        2,
        "queue.give_up",
        '"days" is no unit of a duration; use one of ms, s, m, h, d, w, such as "30s"',
    ),
    Mistake(
        "duration without unit",
        "[queue]\ngive_up = 5",
        2,
        "queue.give_up",
        'a duration needs quotes and a unit; write it like "30s"',
    ),
    Mistake("size", '[queue]\nreserve = "16 mib"', 2, "queue.reserve", '"mib" is no unit of a size; write "16MiB"'),
    Mistake(
        "address without port",
        '[console]\naddress = "127.0.0.1"',
        2,
        "console.address",
        '"127.0.0.1" has no port; write "127.0.0.1:2525", for instance',
    ),
    Mistake(
        "address IPv6 without brackets",
        '[console]\naddress = "::1:25"',
        2,
        "console.address",
        '"::1:25" is not HOST:PORT; an IPv6 address stands in brackets, like "[::1]:2525"',
    ),
    Mistake("choice", '[log]\nlevel = "warn"', 2, "log.level", '"warn" is no choice; write "warning"'),
    Mistake(
        "choice far off",
        '[log]\nlevel = "x"',
        2,
        "log.level",
        '"x" is no choice; use one of "debug", "info", "warning"',
    ),
    Mistake(
        "choice of TLS",
        '[listener.a]\naddress = "*:1"\nminimum_tls = "1.4"',
        3,
        "listener.a.minimum_tls",
        '"1.4" is no choice; write "1.3"',
    ),
    Mistake(
        "type of upstream",
        '[upstream.a]\ntype = "gmial"',
        2,
        "upstream.a.type",
        '"gmial" is no type of upstream; write "gmail"',
    ),
    Mistake(
        "missing type",
        '[upstream.a]\nhost = "x"',
        1,
        "upstream.a.type",
        '"type" is missing; add type = one of "microsoft365", "gmail", "ses", "smtp", "capture"',
    ),
    Mistake(
        "missing key",
        "[listener.a]\nmax_connections = 5",
        1,
        "listener.a.address",
        '"address" is missing; add address = "127.0.0.1:2525" (where to listen: HOST:PORT, [::1]:25 or *:25)',
    ),
    Mistake(
        "missing host",
        '[upstream.a]\ntype = "smtp"',
        1,
        "upstream.a.host",
        '"host" is missing; add host = "mail.isp.test", the name of its server',
    ),
    Mistake(
        "missing credential's key",
        MICROSOFT + 'credential = "client_secret"',
        1,
        "upstream.m.client_secret",
        '"client_secret" is missing; add client_secret = { sealed = "m" }, which credential asks for',
    ),
    Mistake(
        "missing private key",
        MICROSOFT + 'credential = "certificate"\ncertificate = "c.pem"',
        1,
        "upstream.m.private_key",
        '"private_key" is missing; add private_key = "m365.key", which belongs to the certificate',
    ),
    Mistake(
        "missing password",
        '[client.a]\nusername = "a"\nupstream = "isp"',
        1,
        "client.a.password",
        '"password" is missing, which username needs; add password = { sealed = "a" }, and type: relay secret set a',
    ),
    Mistake(
        "missing way to know a client",
        '[client.a]\nupstream = "isp"',
        1,
        "client.a.username",
        '"username" is missing, and "networks" too, so nobody could be this client; '
        'add username and password, or networks = ["10.20.30.0/24"]',
    ),
    Mistake(
        "missing proxy_from",
        '[listener.a]\naddress = "*:1"\nproxy_protocol = true',
        1,
        "listener.a.proxy_from",
        '"proxy_from" is missing, which proxy_protocol needs; '
        'add proxy_from = ["10.0.0.0/16"], the load balancer\'s networks',
    ),
    Mistake(
        "unknown upstream",
        '[client.a]\nnetworks = ["10.0.0.0/8"]\nupstream = [\n  "isp",\n  "ips",\n]',
        5,
        "client.a.upstream",
        'there is no [upstream."ips"]; write "isp"',
    ),
    Mistake(
        "unknown upstream of alerts",
        '[alerts]\nupstream = "sandbox"',
        2,
        "alerts.upstream",
        'there is no [upstream."sandbox"]; use one of "isp"',
    ),
    Mistake(
        "unknown upstream of an identity",
        '[identity.a]\nmatch = ["@a.test"]\nupstream = "isp2"',
        3,
        "identity.a.upstream",
        'there is no [upstream."isp2"]; write "isp"',
    ),
    Mistake(
        "preset",
        '[upstream.a]\ntype = "smtp"\npreset = "outlok"\nhost = "h.test"',
        3,
        "upstream.a.preset",
        'there is no preset "outlok"; write "outlook", or give host and port instead',
    ),
    Mistake(
        "duplicate user name",
        '[client.a]\nusername = "x"\npassword = { env = "A" }\nupstream = "isp"\n'
        '[client.b]\nusername = "X"\npassword = { env = "A" }\nupstream = "isp"',
        6,
        "client.b.username",
        '[client."a"] has the user name "X" already; give each client its own',
    ),
    Mistake(
        "duplicate address",
        '[listener.a]\naddress = "127.0.0.1:25"\n[listener.b]\naddress = "*:25"',
        4,
        "listener.b.address",
        '[listener."a"] listens on 127.0.0.1:25 already; choose another port',
    ),
    Mistake(
        "duplicate address of the metrics",
        '[listener.a]\naddress = "*:9225"\n[metrics]\naddress = "[::1]:9225"',
        4,
        "metrics.address",
        '[listener."a"] listens on *:9225 already; choose another port',
    ),
    Mistake(
        "network",
        '[client.a]\nnetworks = ["10.0.0.5/24"]\nupstream = "isp"',
        2,
        "client.a.networks",
        '"10.0.0.5/24" is one machine of a network; write "10.0.0.0/24" for the network',
    ),
    Mistake(
        "network that is none",
        '[client.a]\nnetworks = [\n"10.0.0.0/8",\n"10.0.0/24"]\nupstream = "isp"',
        4,
        "client.a.networks",
        '"10.0.0/24" is not a network; write it like "10.20.30.0/24"',
    ),
    Mistake(
        "network of two clients",
        '[client.a]\nnetworks = ["10.0.0.0/8"]\nupstream = "isp"\n'
        '[client.b]\nnetworks = ["10.0.0.0/8"]\nupstream = "isp"',
        5,
        "client.b.networks",
        '[client."a"] has the network 10.0.0.0/8 already; give it to one of them, or a narrower one',
    ),
    Mistake(
        "clear-text secret",
        '[client.a]\nusername = "a"\npassword = "hunter2"\nupstream = "isp"',
        3,
        "client.a.password",
        f"a secret in clear text is refused; write {SECRET_FORMS}",
    ),
    Mistake(
        "clear-text private key",
        '[tls]\ncertificate = "c.pem"\nprivate_key = """-----BEGIN PRIVATE KEY-----\nabc"""',
        3,
        "tls.private_key",
        f"a private key in clear text is refused; write its path, {SECRET_FORMS}",
    ),
    Mistake(
        "two secret forms",
        '[client.a]\nusername = "a"\npassword = { env = "A", file = "b" }\nupstream = "isp"',
        3,
        "client.a.password",
        "two forms of one secret: env and file; keep one of env, file",
    ),
    Mistake(
        "misspelt secret form",
        '[client.a]\nusername = "a"\npassword = { seald = "A" }\nupstream = "isp"',
        3,
        "client.a.password",
        '"seald" is no form of a secret; write "sealed"',
    ),
    Mistake(
        "no secret form",
        '[client.a]\nusername = "a"\npassword = {}\nupstream = "isp"',
        3,
        "client.a.password",
        f"names no place for the secret; write {SECRET_FORMS}",
    ),
    Mistake(
        "key without aws",
        '[client.a]\nusername = "a"\npassword = { env = "A", key = "k" }\nupstream = "isp"',
        3,
        "client.a.password",
        '"key" belongs to aws, not to env; remove "key"',
    ),
    Mistake(
        "password in the queue's URL",
        '[queue]\nurl = "postgresql://relay:hunter2@db/relay"',
        2,
        "queue.url",
        "a password in the URL is refused; "
        'take it out of the URL and add password = { env = "RELAY_DB_PASSWORD" } to [queue]',
    ),
    Mistake(
        "password in the proxy's URL",
        UPSTREAM.strip().replace("isp", "a") + '\nproxy = "http://u:hunter2@p:1"',
        4,
        "upstream.a.proxy",
        "a user or password in the URL is refused; use proxy_username and proxy_password beside the proxy",
    ),
    Mistake(
        "mailbox",
        MICROSOFT.replace("no-reply@", "") + 'credential = "device_code"',
        3,
        "upstream.m.mailbox",
        '"practice.test" is not an e-mail address; write it like "reception@clinic.test"',
    ),
    Mistake(
        "tenant",
        MICROSOFT.replace('"practice.test"', '"my practice"') + 'credential = "device_code"',
        4,
        "upstream.m.tenant",
        '"my practice" is neither a tenant\'s ID nor its domain; '
        "copy the Directory (tenant) ID from the app's Overview in the Entra admin center",
    ),
    Mistake(
        "client_id",
        MICROSOFT.replace("66666666-", "") + 'credential = "device_code"',
        5,
        "upstream.m.client_id",
        '"7777-8888-9999-000000000000" is not an application\'s ID; '
        "copy the Application (client) ID from the app's Overview in the Entra admin center",
    ),
    Mistake(
        "host with scheme",
        '[upstream.a]\ntype = "smtp"\nhost = "https://mail.test"',
        3,
        "upstream.a.host",
        '"https://mail.test" is a URL; write the host\'s name alone: "mail.test"',
    ),
    Mistake(
        "host with port",
        '[upstream.a]\ntype = "smtp"\nhost = "mail.test:25"',
        3,
        "upstream.a.host",
        '"mail.test:25" names a port too; write host = "mail.test" and port = 25',
    ),
    Mistake(
        "impossible: TLS without TLS",
        '[listener.a]\naddress = "*:1"\nsecurity = "none"\nrequire_tls = true',
        4,
        "listener.a.require_tls",
        'impossible with security = "none"; write security = "starttls" or "implicit", or require_tls = false',
    ),
    Mistake(
        "impossible: implicit without TLS",
        '[listener.a]\naddress = "*:1"\nsecurity = "implicit"\nrequire_tls = false',
        4,
        "listener.a.require_tls",
        'impossible with security = "implicit", which is TLS always; remove it, or write security = "starttls"',
    ),
    Mistake(
        "impossible: no AUTH with a password",
        '[upstream.a]\ntype = "smtp"\nhost = "h.test"\nauth = "none"\npassword = { env = "A" }',
        5,
        "upstream.a.password",
        'impossible with auth = "none"; remove it, or write auth = "auto"',
    ),
    Mistake(
        "impossible: another credential's key",
        MICROSOFT + 'credential = "device_code"\nclient_secret = { env = "A" }',
        7,
        "upstream.m.client_secret",
        'impossible with credential = "device_code"; remove it, or write credential = "client_secret"',
    ),
    Mistake(
        "impossible: first pause above most",
        '[queue]\nretry_first = "2h"',
        2,
        "queue.retry_first",
        "longer than retry_most (1h); write at most that",
    ),
    Mistake(
        "impossible: more a message than a day",
        '[upstream.a]\ntype = "smtp"\nhost = "h.test"\nrecipients_per_day = 50\nrecipients_per_message = 60',
        5,
        "upstream.a.recipients_per_message",
        "one message could have more recipients than a day (50); write recipients_per_message = 50 or less",
    ),
    Mistake(
        "not built: direct",
        '[client.a]\nnetworks = ["::1"]\nupstream = "isp"\ndelivery = "direct"',
        4,
        "client.a.delivery",
        'delivery = "direct" is not built yet; write "queue" or leave it out',
    ),
    Mistake(
        "not built: graph",
        MICROSOFT + 'credential = "device_code"\nvia = "graph"',
        7,
        "upstream.m.via",
        'via = "graph" is not built yet; write "smtp" or leave it out',
    ),
    Mistake(
        "not built: another cloud",
        MICROSOFT + 'credential = "device_code"\ncloud = "china"',
        7,
        "upstream.m.cloud",
        'cloud = "china" is not built yet; write "public" or leave it out',
    ),
    Mistake(
        "two tables of one form",
        '[listener.a-b]\naddress = "*:1"\n[listener.a_b]\naddress = "*:2"',
        3,
        "listener.a_b",
        '"a-b" and "a_b" are the same name in a RELAY__ variable (A_B); rename one of the two',
    ),
    Mistake(
        "instant without zone",
        '[listener.a]\naddress = "*:1"\nlearn_until = 2026-12-24T00:00:00',
        3,
        "listener.a.learn_until",
        "the time lacks its zone; write 2026-12-24T00:00:00Z for UTC",
    ),
    Mistake(
        "template",
        '[client.a]\nnetworks = ["::1"]\nupstream = "isp"\ndisplay_name = "{nam}"',
        4,
        "client.a.display_name",
        'only {name} can be filled in; write it like "{name} via Clinic"',
    ),
]


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
delivery = "direct"
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

import ipaddress

import pytest

from relay.address import Mailbox, parse_mailbox
from relay.config.client_settings import ClientSettings
from relay.inbound import admission, replies
from relay.inbound.clients import Clients, ip_address, may_log_in_from
from relay.reply import Reply
from relay.spool.contract import SpoolError


def client(**keys: object) -> ClientSettings:
    return ClientSettings.model_validate({"upstream": "isp", **keys})


def mailbox(text: str) -> Mailbox:
    found = parse_mailbox(text)
    assert found is not None
    return found


LIMITED = client(senders=["no-reply@clinic.test", "@north.test"])


@pytest.mark.parametrize(("sender", "allowed"), [
    ("no-reply@clinic.test", True),
    ("No-Reply@CLINIC.test", True),
    ("anna@clinic.test", False),
    ("anna@north.test", True),
    ("anna@NORTH.TEST", True),
    ("anna@sub.north.test", False),
    ("anna@evilnorth.test", False),
    ('"@north.test"@d.test', False),
])  # fmt: skip
def test_senders(sender: str, allowed: bool) -> None:
    assert admission.sender_allowed(LIMITED, mailbox(sender)) is allowed
    assert admission.sender_allowed(client(), mailbox(sender))


@pytest.mark.parametrize(("reverse_path", "size", "waiting", "refusal"), [
    ("no-reply@clinic.test", 0, 0, None),
    ("", 0, 0, None),
    ("other@clinic.test", 0, 0, (replies.SENDER_NOT_ALLOWED, "sender")),
    ("no-reply@clinic.test", 1001, 0, (replies.TOO_LARGE, "size")),
    ("no-reply@clinic.test", 1000, 0, None),
    ("no-reply@clinic.test", 0, 10_000, (replies.TOO_MUCH_WAITING, "rate")),
    ("no-reply@clinic.test", 0, 9_999, None),
])  # fmt: skip
def test_reverse_paths(reverse_path: str, size: int, waiting: int, refusal: tuple[Reply, str] | None) -> None:
    sender = mailbox(reverse_path) if reverse_path else None
    assert admission.refuse_reverse_path(LIMITED, sender, size, 1000, waiting) == refusal


def test_recipients() -> None:
    assert admission.refuse_forward_path(client(max_recipients=2), 1) is None
    assert admission.refuse_forward_path(client(max_recipients=2), 2) == replies.TOO_MANY_RECIPIENTS


@pytest.mark.parametrize(("received", "authors", "refusal"), [
    (29, ["no-reply@clinic.test"], None),
    (30, ["no-reply@clinic.test"], (replies.MAIL_LOOP, "loop")),
    (0, [], None),
    (0, ["no-reply@clinic.test", "evil@d.test"], (replies.AUTHOR_NOT_ALLOWED, "sender")),
    (0, [None], (replies.AUTHOR_NOT_ALLOWED, "sender")),
])  # fmt: skip
def test_headers(received: int, authors: list[str | None], refusal: tuple[Reply, str] | None) -> None:
    found = [mailbox(author) if author else None for author in authors]
    assert admission.refuse_header(LIMITED, received, found) == refusal


def test_any_from_where_senders_are_not_limited() -> None:
    assert admission.refuse_header(client(), 0, [None]) is None


def test_strangers() -> None:
    assert admission.refuse_stranger(auth_offered=True).code == 530
    assert admission.refuse_stranger(auth_offered=False).code == 550


def test_the_spools_refusals() -> None:
    assert admission.refuse_for_spool(SpoolError("x", full=True)) == replies.SPOOL_FULL
    assert admission.refuse_for_spool(SpoolError("x")) == replies.SPOOL_BROKEN


CLIENTS = Clients(
    {
        "wide": client(networks=["10.0.0.0/8"]),
        "narrow": client(networks=["10.20.30.0/24", "2001:db8::/32"]),
        "both": client(username="both", password={"env": "P"}, networks=["10.20.30.5"]),
        "login": client(username="login", password={"env": "P"}),
    }
)


@pytest.mark.parametrize(("address", "name"), [
    ("10.1.1.1", "wide"),
    ("10.20.30.40", "narrow"),
    ("10.20.30.5", "narrow"),
    ("::ffff:10.20.30.40", "narrow"),
    ("2001:db8::1", "narrow"),
    ("fe80::1%eth0", None),
    ("192.0.2.1", None),
])  # fmt: skip
def test_networks(address: str, name: str | None) -> None:
    found = CLIENTS.at(ip_address(address))
    assert (found.name if found else None) == name


def test_logins_from_networks() -> None:
    both, login = CLIENTS.with_username("both"), CLIENTS.with_username("login")
    assert both is not None
    assert login is not None
    assert may_log_in_from(both, ipaddress.ip_address("10.20.30.5"))
    assert not may_log_in_from(both, ipaddress.ip_address("10.20.30.6"))
    assert may_log_in_from(login, ipaddress.ip_address("192.0.2.1"))
    assert CLIENTS.with_username("nobody") is None

"""Which URLs alerts may be posted to, and what they come apart into."""

import pytest

from relay.config.problems import ConfigError
from relay.config.webhook_url import WebhookUrl, private, webhook_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://hook.test", WebhookUrl(True, "hook.test", 443, "/")),
        (" https://hook.test:8443/a/b?c=d&e \n", WebhookUrl(True, "hook.test", 8443, "/a/b?c=d&e")),
        ("HTTPS://Hook.Test/A#part", WebhookUrl(True, "hook.test", 443, "/A")),
        ("https://8.8.8.8/x", WebhookUrl(True, "8.8.8.8", 443, "/x")),
        ("http://localhost:9000/x", WebhookUrl(False, "localhost", 9000, "/x")),
        ("http://127.0.0.1/x", WebhookUrl(False, "127.0.0.1", 80, "/x")),
        ("http://[fd00::1]:1/x", WebhookUrl(False, "fd00::1", 1, "/x")),
        ("http://10.1.2.3/x", WebhookUrl(False, "10.1.2.3", 80, "/x")),
        # Of a name only the look-up tells; see tests/transfer/test_webhook.py.
        ("http://ntfy/x", WebhookUrl(False, "ntfy", 80, "/x")),
        ("https://u%40a:p%3Ab@hook.test/", WebhookUrl(True, "hook.test", 443, "/", "Basic dUBhOnA6Yg==")),
    ],
)
def test_what_will_do(text: str, url: WebhookUrl) -> None:
    assert webhook_url(text) == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no URL"),
        ("hook.test/SECRET", "no URL of the web"),
        ("ftp://hook.test/SECRET", "begins with https://"),
        ("https:///SECRET", "no URL of the web"),
        ("https://hook..test/SECRET", "no host of the web"),
        (f"https://{64 * 'h'}.test/SECRET", "no host of the web"),
        ("https://hook.test:SECRET/", "no URL"),
        ("https://hook.test/SEC RET", "holds blanks"),
        ("https://hook.test/SECRET\nSECRET", "holds blanks"),
        ("https://höok.test/SECRET", "letters that no URL has"),
        ("http://8.8.8.8/SECRET", "write https://"),
        ("http://[2001:4860:4860::8888]/SECRET", "write https://"),
        ("http://[::ffff:8.8.8.8]/SECRET", "write https://"),
    ],
)
def test_what_will_not_and_is_not_quoted(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        webhook_url(text)
    assert said in str(caught.value)
    assert "; " in str(caught.value)
    assert "SEC" not in str(caught.value)
    assert "hook" not in str(caught.value)


def test_no_part_of_it_is_shown() -> None:
    shown = repr(webhook_url("https://user:SECRET@hook.test/SECRET?SECRET"))
    assert "SECRET" not in shown
    assert "hook.test" not in shown


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.0.1", True),
        ("172.16.0.1", True),
        ("fe80::1%eth0", True),
        ("::ffff:10.0.0.1", True),
        ("1.1.1.1", False),
        ("2606:4700::1111", False),
    ],
)
def test_private_addresses(address: str, expected: bool) -> None:
    assert private(address) is expected

"""Where a proxy is, as it may be written; what is refused is in mistakes_of_sense.txt."""

import pytest

from relay.config.provider_settings import SmtpSettings
from relay.config.proxy_url import ProxyUrl


@pytest.mark.parametrize(
    ("text", "url", "written"),
    [
        ("http://proxy.clinic.test:3128", ProxyUrl("http", "proxy.clinic.test", 3128), None),
        ("socks5://10.0.0.5:1080/", ProxyUrl("socks5", "10.0.0.5", 1080), "socks5://10.0.0.5:1080"),
        ("http://[fd00::5]:8888", ProxyUrl("http", "fd00::5", 8888), None),
        ("socks5://proxy:1", ProxyUrl("socks5", "proxy", 1), None),
    ],
)
def test_forms(text: str, url: ProxyUrl, written: str | None) -> None:
    found = SmtpSettings.model_validate({"host": "mail.isp.test", "proxy": text})
    assert found.proxy == url
    assert str(found.proxy) == (written or text)

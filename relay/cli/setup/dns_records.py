"""The DNS records that a domain needs which sends through Amazon SES. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def records_for(domains: Iterable[str], region: str, reports_to: str = "") -> Mapping[str, tuple[str, ...]]:
    """Return lines of a zone file by purpose: dkim, mail_from, dmarc. TOKEN1 and the like are shown by the console."""
    named = [domain.rstrip(".").lower() for domain in domains]
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonses.com"
    return {
        "dkim": tuple(
            f"TOKEN{number}._domainkey.{domain}.  CNAME  TOKEN{number}.dkim.amazonses.com."
            for domain in named
            for number in (1, 2, 3)
        ),
        "mail_from": tuple(
            line
            for domain in named
            for line in (
                f"bounce.{domain}.  MX   10 feedback-smtp.{region}.{suffix}.",
                f'bounce.{domain}.  TXT  "v=spf1 include:amazonses.com ~all"',
            )
        ),
        "dmarc": tuple(
            f'_dmarc.{domain}.  TXT  "v=DMARC1; p=none; rua=mailto:{reports_to or f"postmaster@{domain}"}"'
            for domain in named
        ),
    }

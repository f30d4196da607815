"""Services that are reached as `type = "smtp"` under a name: what `preset` sets."""

from collections.abc import Mapping
from typing import Final

PRESETS: Final[Mapping[str, Mapping[str, str | int]]] = {
    # Microsoft 365 by an inbound connector: the host is the tenant's own MX, so it has to be given.
    "connector": {"port": 25, "security": "starttls", "auth": "none", "recipients_per_message": 500},
    # High Volume Email: internal recipients; a token must have ten minutes left.
    "hve": {"host": "smtp-hve.office365.com", "port": 587, "security": "starttls"},
    # Azure Communication Services: limits of a new custom domain.
    "acs": {
        "host": "smtp.azurecomm.net",
        "port": 587,
        "security": "starttls",
        "auth": "login",
        "messages_per_minute": 30,
        "recipients_per_message": 50,
    },
    # Google Workspace's relay service, which knows the clinic by its address.
    "workspace-relay": {
        "host": "smtp-relay.gmail.com",
        "port": 587,
        "security": "starttls",
        "recipients_per_message": 100,
        "recipients_per_day": 10000,
    },
    "outlook": {"host": "smtp-mail.outlook.com", "port": 587, "security": "starttls", "max_connections": 3},
    "icloud": {"host": "smtp.mail.me.com", "port": 587, "security": "starttls", "max_connections": 3},
    "yahoo": {"host": "smtp.mail.yahoo.com", "port": 465, "security": "implicit", "max_connections": 3},
    "fastmail": {"host": "smtp.fastmail.com", "port": 465, "security": "implicit"},
    "zoho": {"host": "smtp.zoho.com", "port": 465, "security": "implicit", "max_connections": 3},
    "sendgrid": {"host": "smtp.sendgrid.net", "port": 587, "security": "starttls"},
    "mailgun": {"host": "smtp.mailgun.org", "port": 587, "security": "starttls"},
    "mailjet": {"host": "in-v3.mailjet.com", "port": 587, "security": "starttls", "recipients_per_message": 50},
    "brevo": {"host": "smtp-relay.brevo.com", "port": 587, "security": "starttls", "recipients_per_message": 50},
    "postmark": {"host": "smtp.postmarkapp.com", "port": 587, "security": "starttls", "recipients_per_message": 50},
}

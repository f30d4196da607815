"""What all tables of relay.toml have in common, and the types of their keys."""

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, ValidationInfo

from relay.address import parse_mailbox
from relay.config.mistake import mistake
from relay.config.quantities import TextForm

FOLDER: Final = "folder"
"""The key of the validation context that holds the folder at which relative paths start."""

_LITERAL: Final = re.compile(r"\[[0-9A-Za-z:.]+\]")
_HOST: Final = re.compile(r"(?=.{1,253}\Z)[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*\.?")


class Section(BaseModel):
    """A table of relay.toml: cannot be changed, takes no keys but its own."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        str_max_length=1 << 20,
    )


def _path(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str) and any(ord(character) < 32 for character in value):
        raise mistake("the path contains control characters", "write each \\ as \\\\, or use 'single quotes'")
    if isinstance(value, str) and value.strip():
        folder = info.context.get(FOLDER) if info.context else None
        return Path(folder, value) if folder is not None else Path(value)
    if isinstance(value, Path):
        return value
    raise mistake("expected the path of a file in quotes", 'write it like "/etc/relay/ca.pem"')


def _mail_address(value: str) -> str:
    mailbox = parse_mailbox(value)
    if mailbox is None or not mailbox.domain:
        raise mistake(f'"{value:.80}" is not an e-mail address', 'write it like "reception@clinic.test"')
    return value


def _sender(value: str) -> str:
    if value.startswith("@") and parse_mailbox(f"any{value}") is not None:
        return value
    if parse_mailbox(value) is None or "@" not in value:
        raise mistake(
            f'"{value:.80}" is neither an address nor a domain',
            'write "no-reply@clinic.test", or "@clinic.test" for all of a domain',
        )
    return value


def _host(value: str) -> str:
    if "://" in value:
        raise mistake(f'"{value:.80}" is a URL', f'write the host\'s name alone: "{value.split("://")[1]:.80}"')
    name, colon, port = value.rpartition(":")
    if colon and port.isdigit() and ":" not in name:
        raise mistake(f'"{value:.80}" names a port too', f'write host = "{name}" and port = {int(port)}')
    if not is_host(value):
        raise mistake(f'"{value:.80}" is not a host\'s name', 'write it like "mail.clinic.test"')
    return value


def _ehlo_name(value: str) -> str:
    if _LITERAL.fullmatch(value) is None and not is_host(value):
        raise mistake(f'"{value:.80}" is not a host\'s name', 'write it like "relay.clinic.test"')
    return value


def is_host(text: str) -> bool:
    """Whether it is a host's name, or an address without brackets."""
    return _HOST.fullmatch(text) is not None or _is_address(text)


def https_url(value: str) -> str:
    """A URL of a token endpoint, as it is."""
    if not re.fullmatch(r"https://[^\s/?#@]+/[^\s?#]+", value):
        raise mistake(
            f'"{value:.80}" is not an https URL with a path',
            'write it like "https://login.microsoftonline.com/TENANT-ID"',
        )
    return value


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _not_blank(value: str) -> str:
    if not value.strip() or any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise mistake("empty, or contains control characters", "write a text of one line, or leave the key out")
    return value


def several(value: object) -> object:
    """A list as a tuple; a single text is refused with its cure."""
    if isinstance(value, str):
        raise mistake("expected a list", f'put it in brackets: ["{value:.80}"]')
    if isinstance(value, dict) or not isinstance(value, Iterable):
        raise mistake("expected a list", 'write it in brackets, like ["...", "..."]')
    return tuple(value)


def one_or_several(value: object) -> object:
    """A single text or a list, as a tuple."""
    return (value,) if isinstance(value, str) else several(value)


FilePath = Annotated[Path, TextForm(), BeforeValidator(_path)]
"""A path; a relative one starts at the configuration file's folder."""

MailAddress = Annotated[str, AfterValidator(_mail_address)]
"""An e-mail address, `local@domain`."""

Sender = Annotated[str, AfterValidator(_sender)]
"""An e-mail address, or `@domain` for all of a domain."""

Host = Annotated[str, AfterValidator(_host)]
"""A host's name or address, without port."""

EhloName = Annotated[str, AfterValidator(_ehlo_name)]
"""A host's name, or its address in brackets (RFC 5321 §4.1.3)."""

Line = Annotated[str, AfterValidator(_not_blank)]
"""A text of one line, not empty."""

Count = Annotated[StrictInt, Field(ge=1, le=1_000_000_000)]
"""A whole number above zero."""

Port = Annotated[StrictInt, Field(ge=1, le=65535)]
"""A TCP port."""

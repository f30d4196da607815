"""The arguments of MAIL, RCPT and BDAT: the path, and the parameters of the extensions we offer, case kept."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

from relay.address import Mailbox, ReversePath, parse_path
from relay.envelope import Body, DsnReturn, Notify, Recipient
from relay.inbound import replies
from relay.reply import Reply

# A quoted local part may hold `>`; what stands behind the path may hold `<>` (AUTH=<>). Old software leaves the
# brackets off.
_PATH: Final = re.compile(
    r'<((?:"[^"\\]*+(?:\\.[^"\\]*+)*"|[^">]++)*)>(?:[ \t]+(.*))?|([^\s<>]+)(?:[ \t]+(.*))?', re.DOTALL
)
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
# RFC 3461 §4.4: printable ASCII behind the xtext. Servers refuse the whole message for any other.
_ENVELOPE_ID: Final = re.compile(r"(?:[!-*,-<>-~]|\+(?:[2-6][0-9A-F]|7[0-9A-E]))+")
_UTF8_XTEXT: Final = re.compile(r"[^\x00-\x20+=\x7f]+|(?:[!-*,-<>-~]|\+[0-9A-F]{2}|\\x\{[0-9A-F]+\})+")
# What begins as RFC 6533 §3's EmbeddedUnicodeChar and names no code point: needless zeros, surrogates, above 10FFFF.
_NO_LETTER: Final = re.compile(
    r"\\x\{(?!(?:[0-9A-F]{2}|[1-9A-F][0-9A-F]{2}|(?:[1-9ABCEF][0-9A-F]|D[0-7])[0-9A-F]{2}|(?:[1-9A-F]|10)[0-9A-F]{4})\})",
    re.IGNORECASE,
)
_LARGEST_CHUNK: Final = 1 << 40
_ADDRESS_TYPE: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class MailArguments:
    """MAIL's: `size` as declared (RFC 1870), the others as `Envelope` has them."""

    reverse_path: ReversePath
    size: int = 0
    body: Body = Body.SEVEN_BIT
    smtputf8: bool = False
    envelope_id: str | None = None
    dsn_return: DsnReturn | None = None

    @property
    def sender(self) -> str:
        """The reverse-path in writing; `<>` is the null one."""
        return str(self.reverse_path) if self.reverse_path else "<>"


@functools.lru_cache(maxsize=256)
def mail_arguments(argument: bytes, *, extended: bool) -> MailArguments | Reply:
    """Read what follows MAIL. `extended`: EHLO was said, so that parameters are allowed.

    Remembers the last ones, since an application says the same again and again.
    """
    if argument[:5].upper() != b"FROM:":
        return replies.MAIL_SYNTAX
    try:
        text = argument[5:].decode("utf-8").strip()
    except UnicodeDecodeError:
        return replies.BAD_REVERSE_PATH
    if text == "<>":
        return MailArguments(None)
    path, words = _parted(text)
    if path is None:
        return replies.BAD_REVERSE_PATH
    reverse_path = parse_path(path) if path else None
    if path and (reverse_path is None or not reverse_path.domain):
        return replies.BAD_REVERSE_PATH
    found = MailArguments(reverse_path)
    if words:
        parsed = _mail_parameters(found, words) if extended else replies.MAIL_SYNTAX
        if isinstance(parsed, Reply):
            return parsed
        found = parsed
    if reverse_path is not None and not found.smtputf8 and not reverse_path.ascii:
        return replies.SMTPUTF8_NEEDED
    return found


@functools.lru_cache(maxsize=256)
def rcpt_arguments(argument: bytes, *, extended: bool, smtputf8: bool, hostname: str) -> Recipient | Reply:
    """Read what follows RCPT. `postmaster` without a domain (RFC 5321 §4.1.1.3) is ours, at `hostname`.

    Remembers the last ones, as `mail_arguments` does.
    """
    if argument[:3].upper() != b"TO:":
        return replies.RCPT_SYNTAX
    try:
        text = argument[3:].decode("utf-8").strip()
    except UnicodeDecodeError:
        return replies.BAD_FORWARD_PATH
    path, words = _parted(text)
    forward_path = parse_path(path) if path else None
    if forward_path is None:
        return replies.BAD_FORWARD_PATH
    if not smtputf8 and not forward_path.ascii:
        return replies.SMTPUTF8_NEEDED
    if not forward_path.domain:
        forward_path = Mailbox(forward_path.local_part, hostname)
    if not words:
        return Recipient(forward_path)
    return _rcpt_parameters(forward_path, words, smtputf8=smtputf8) if extended else replies.RCPT_SYNTAX


def _parted(text: str) -> tuple[str | None, list[str]]:
    """The path without its brackets, None where there is none, and the words behind it."""
    found = _PATH.fullmatch(text)
    if found is None:
        return None, []
    path, rest = (found[1], found[2]) if found[1] is not None else (found[3], found[4])
    return path, rest.split() if rest else []


def _mail_parameters(found: MailArguments, words: list[str]) -> MailArguments | Reply:
    given = _keywords(words)
    if isinstance(given, Reply):
        return given
    size, body, smtputf8, envelope_id, dsn_return = 0, Body.SEVEN_BIT, False, None, None
    for keyword, value in given.items():
        if keyword == "SIZE" and value is not None and value.isdecimal() and value.isascii() and len(value) <= 20:
            size = int(value)
        elif keyword == "BODY" and value is not None and value.upper() in set(Body):
            body = Body(value.upper())
        elif keyword == "SMTPUTF8" and value is None:
            smtputf8 = True
        elif keyword == "RET" and value is not None and value.upper() in set(DsnReturn):
            dsn_return = DsnReturn(value.upper())
        elif keyword == "ENVID" and value is not None and len(value) <= 100 and _ENVELOPE_ID.fullmatch(value):
            envelope_id = value
        elif keyword == "AUTH" and value is not None:
            continue  # RFC 4954 §5: whom a relay we know nothing of vouches for says nothing to us.
        elif keyword in {"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"}:
            return replies.bad_parameter(f"Bad value of {keyword}")
        else:
            return replies.unknown_parameter(keyword)
    return MailArguments(found.reverse_path, size, body, smtputf8, envelope_id, dsn_return)


def bdat_arguments(argument: bytes) -> tuple[int, bool] | None:
    """Read what follows BDAT (RFC 3030 §2): the chunk's size in octets, and whether it is the last; None: malformed."""
    words = argument.upper().split()
    if not words or not words[0].isdigit() or int(words[0]) > _LARGEST_CHUNK or words[1:] not in ([], [b"LAST"]):
        return None
    return int(words[0]), len(words) == 2


def _rcpt_parameters(forward_path: Mailbox, words: list[str], *, smtputf8: bool) -> Recipient | Reply:
    given = _keywords(words)
    if isinstance(given, Reply):
        return given
    notify, original = None, None
    for keyword, value in given.items():
        if keyword == "NOTIFY":
            notify = Notify.parse(value or "")
            if notify is None:
                return replies.bad_parameter("Bad value of NOTIFY")
        elif keyword == "ORCPT":
            if value is None or not _original_recipient(value, smtputf8=smtputf8):
                return replies.bad_parameter("Bad value of ORCPT")
            original = value
        else:
            return replies.unknown_parameter(keyword)
    return Recipient(forward_path, notify, original)


def _keywords(words: list[str]) -> dict[str, str | None] | Reply:
    """The parameters by upper-case keyword; one may be given once (RFC 3461 §4.2 and its like)."""
    given: dict[str, str | None] = {}
    for word in words:
        keyword, equals, value = word.partition("=")
        keyword = keyword.upper()
        if not keyword.replace("-", "").isalnum() or not keyword.isascii() or len(keyword) > 64:
            return replies.bad_parameter("Malformed parameter")
        if keyword in given:
            return replies.bad_parameter(f"Parameter {keyword} given twice")
        if equals and not value:
            return replies.bad_parameter(f"Bad value of {keyword}")
        given[keyword] = value if equals else None
    return given


def _original_recipient(value: str, *, smtputf8: bool) -> bool:
    """RFC 3461 §4.2: address type, semicolon, xtext; RFC 6533 §3 allows more where SMTPUTF8 was said."""
    address_type, semicolon, address = value.partition(";")
    if not semicolon or len(value) > 500 or not _ADDRESS_TYPE.fullmatch(address_type):
        return False
    if address_type.casefold() == "utf-8" and _NO_LETTER.search(address):
        return False
    return bool((_UTF8_XTEXT if smtputf8 else _XTEXT).fullmatch(address))

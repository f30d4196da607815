"""The strict reading of SMTP command lines (RFC 5321 §4.1.2, RFC 3461 §4, RFC 6531 §3.4); pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

COMMAND_LIMIT = 512
"""Octets of a command line with its CRLF, RFC 5321 §4.5.3.1.4; the extensions below add to it."""

LIMITS: Mapping[str, int] = {"MAIL": 1_200, "RCPT": 1_126, "AUTH": 12_288}
"""MAIL: SIZE 26, BODY 17, SMTPUTF8 10, RET and ENVID 135, AUTH 500; RCPT: NOTIFY and ORCPT 613; AUTH: RFC 4954 §4."""

_ATOM = r'[^\x00-\x20()<>\[\]:;@\\,."\x7f]+'
_LOCAL_PART = rf"(?:{_ATOM}(?:\.{_ATOM})*|\"(?:[^\x00-\x1f\"\\\x7f]|\\[ -~])*\")"
_LETTER = r"[^\x00-/:-@\[-`{-\x7f]"
_LABEL = rf"{_LETTER}(?:[^\x00-,./:-@\[-`{{-\x7f]*{_LETTER})?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:\d+\.\d+\.\d+\.\d+|IPv6:[0-9A-Fa-f:.]+)\])"
_MAILBOX = re.compile(rf"(?P<local>{_LOCAL_PART})@(?P<domain>{_DOMAIN})")
_PATH = re.compile(r'<((?:"(?:[^"\\]|\\.)*"|[^<>" ])*)>(?: (.*))?')
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?")
_HELO_NAME = re.compile(rf"{_DOMAIN}")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_SIZE = re.compile(r"\d{1,20}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command line is wrong: `text` names the reply, `detail` says what for the list of violations."""

    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class Path:
    """A reverse-path or forward-path with its parameters: keywords in upper case, values as said, None without."""

    address: str
    parameters: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def ascii(self) -> bool:
        """True where it may be said without SMTPUTF8."""
        return self.address.isascii() and all((value or "").isascii() for value in self.parameters.values())


def split(line: bytes) -> tuple[str, str] | Refusal:
    """Part a line, CRLF included, into the verb in upper case and its argument."""
    if not line.endswith(b"\r\n"):
        return Refusal("syntax", "a command line that ends with a bare LF")
    octets = line[:-2]
    if b"\r" in octets or b"\0" in octets:
        return Refusal("syntax", "CR or NUL inside a command line")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        return Refusal("syntax", "a command line that is not UTF-8")
    verb, _, argument = text.partition(" ")
    verb = verb.upper()
    if len(line) > LIMITS.get(verb, COMMAND_LIMIT):
        return Refusal("line_too_long", f"{verb[:8]} of {len(line)} octets")
    return verb, argument


def helo_name(argument: str, *, extended: bool) -> str | Refusal:
    """Read the argument of EHLO, or of HELO which allows no address literal (RFC 5321 §4.1.1.1)."""
    if not _HELO_NAME.fullmatch(argument) or (argument.startswith("[") and not extended):
        return Refusal("syntax_argument", "EHLO or HELO without a domain or an address literal")
    return argument


def mail_path(argument: str, offered: frozenset[str]) -> Path | Refusal:
    """Read the argument of MAIL; `offered` are the keywords of our EHLO reply."""
    path = _path(argument, "FROM:")
    if isinstance(path, Refusal):
        return path
    if path.address and not _is_mailbox(path.address):
        return Refusal("sender_syntax", "a reverse-path that is no mailbox")
    return _refuse_parameters(path, _MAIL_PARAMETERS, offered) or path


def rcpt_path(argument: str, offered: frozenset[str]) -> Path | Refusal:
    """Read the argument of RCPT."""
    path = _path(argument, "TO:")
    if isinstance(path, Refusal):
        return path
    if not _is_mailbox(path.address) and path.address.lower() != "postmaster":
        return Refusal("recipient_syntax", "a forward-path that is no mailbox")
    return _refuse_parameters(path, _RCPT_PARAMETERS, offered) or path


def chunk_size(argument: str) -> tuple[int, bool] | Refusal:
    """Read the argument of BDAT: octets, and whether it is the last (RFC 3030 §2)."""
    found = re.fullmatch(r"(\d{1,20})( LAST)?", argument, re.IGNORECASE)
    return (int(found[1]), bool(found[2])) if found else Refusal("syntax_argument", "BDAT without a size")


def _path(argument: str, prefix: str) -> Path | Refusal:
    if argument[: len(prefix)].upper() != prefix:
        return Refusal("syntax_argument", f"{prefix} expected")
    found = _PATH.fullmatch(argument[len(prefix) :])
    if found is None:
        return Refusal("syntax_argument", f"{prefix} without a path in angle brackets")
    parameters: dict[str, str | None] = {}
    for word in found[2].split(" ") if found[2] is not None else ():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None or parameter[1].upper() in parameters:
            return Refusal("parameter", "a malformed or repeated parameter")
        parameters[parameter[1].upper()] = parameter[2]
    return Path(found[1], parameters)


def _is_mailbox(address: str) -> bool:
    found = _MAILBOX.fullmatch(address)
    return found is not None and len(found["local"].encode()) <= 64 and len(found["domain"].encode()) <= 255


def _notify(value: str | None) -> bool:
    words = (value or "").upper().split(",")
    return words == ["NEVER"] or (len(set(words)) == len(words) and set(words) <= {"SUCCESS", "FAILURE", "DELAY"})


def _original(value: str | None) -> bool:
    kind, semicolon, address = (value or "").partition(";")
    utf8 = kind.lower() == "utf-8"
    return bool(semicolon and kind and address and (utf8 or _XTEXT.fullmatch(address)))


_Rule: TypeAlias = tuple[str, Callable[[str | None], bool]]
"""The extension that a parameter belongs to, and whether a value is one of its values."""

_MAIL_PARAMETERS: Mapping[str, _Rule] = {
    "SIZE": ("SIZE", lambda value: bool(value and _SIZE.fullmatch(value))),
    "BODY": ("8BITMIME", lambda value: (value or "").upper() in {"7BIT", "8BITMIME", "BINARYMIME"}),
    "SMTPUTF8": ("SMTPUTF8", lambda value: value is None),
    "RET": ("DSN", lambda value: (value or "").upper() in {"FULL", "HDRS"}),
    "ENVID": ("DSN", lambda value: bool(value and len(value) <= 100 and _XTEXT.fullmatch(value))),
    "AUTH": ("AUTH", lambda value: bool(value and _XTEXT.fullmatch(value))),
}
_RCPT_PARAMETERS: Mapping[str, _Rule] = {"NOTIFY": ("DSN", _notify), "ORCPT": ("DSN", _original)}


def _refuse_parameters(path: Path, known: Mapping[str, _Rule], offered: frozenset[str]) -> Refusal | None:
    for keyword, value in path.parameters.items():
        rule = known.get(keyword)
        if rule is None:
            return Refusal("parameter", f"unknown parameter {keyword}")
        extension, allows = rule
        if extension not in offered:
            return Refusal("parameter", f"{keyword} without {extension} offered")
        if not allows(value):
            return Refusal("parameter", f"{keyword} with a value that is not allowed")
    if (path.parameters.get("BODY") or "").upper() == "BINARYMIME" and "BINARYMIME" not in offered:
        return Refusal("parameter", "BODY=BINARYMIME without BINARYMIME offered")
    return None

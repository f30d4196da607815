"""The text of a notice: multipart/report of RFC 3464, with the fields of RFC 3461, and RFC 6533 where needed. Pure."""

from __future__ import annotations

import quopri
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from relay.address import Mailbox
from relay.config.upstream_settings import UpstreamSettings
from relay.diagnosis.causes import diagnosis_for
from relay.diagnosis.diagnosis import Actor, Diagnosis, lines_of
from relay.diagnosis.names import names_of
from relay.envelope import Recipient
from relay.reply import Reply
from relay.spool.records import SpooledMessage
from relay.transfer.dsn import Finding, Notice, NoticeKind
from relay.transfer.explanation import diagnosis_of_failure
from relay.transfer.xtext import unitext_decoded, xtext_decoded

_SUBJECTS = {
    NoticeKind.FAILED: "Not sent: your message could not be delivered",
    NoticeKind.DELAYED: "Delayed: your message is still waiting",
    NoticeKind.RELAYED: "Relayed: your message was handed on",
}
_OPENINGS = {
    NoticeKind.FAILED: "Your message could not be sent to the recipients below. It will not be tried again.",
    NoticeKind.DELAYED: "Your message could not be sent to the recipients below yet. It is kept, and tried again.",
    NoticeKind.RELAYED: "Your message was handed on to the next mail server for the recipients below.",
}
_HAND_ON = (
    "Give this notice to whoever that is. Nothing in the message is known to be wrong: it can be sent again then."
)
_ALL_FOLLOWS = "It follows below."
_HEADER_FOLLOWS = "Its header follows below."
_BOUNDARY = re.compile(rb'boundary="([^"]+)"')
_FROM = re.compile(rb"^(From:[^<\r\n]*<)[^>\r\n]*", re.MULTILINE)
_LONGEST_LINE = 998
_PERHAPS = (
    "It may have arrived all the same: once the provider gave no answer after the whole message. "
    "Ask the recipient before it is sent again."
)
_WIDTH = 76
"""Characters a line, so that no line reaches RFC 5322 §2.1.1's limit, in whatever letters."""


@dataclass(frozen=True, slots=True)
class Original:
    """What is returned of the message: its header section, or all of it where `whole`."""

    octets: bytes
    whole: bool = False

    @property
    def header(self) -> Original:
        """The header section alone."""
        section, separator, _ = self.octets.partition(b"\r\n\r\n")
        return Original(section + separator[:2])


@dataclass(frozen=True, slots=True)
class Stamp:
    """The notice's own circumstances: its ID, the instant, our host name, and the address in its From.

    `upstream` and `settings` are those of which it tells.
    """

    id: str
    at: int
    hostname: str
    author: Mailbox
    upstream: str = ""
    settings: UpstreamSettings | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A finished notice. `smtputf8` where an address in its own header needs it."""

    octets: bytes
    eight_bit: bool
    smtputf8: bool


def bounce_for(notice: Notice, message: SpooledMessage, original: Original, stamp: Stamp) -> Report:
    """Compose a notice: for people, for programs, and what it is about."""
    if notice.kind is not NoticeKind.FAILED:
        # RFC 3461 §4.3: RET=FULL is about failures; whoever reads that it was relayed has the message.
        original = original.header
    # Programs that read notices seldom know RFC 6533's types: they stand where an address cannot do without.
    international = any(_beyond_ascii(one.row.recipient) for one in notice.findings)
    boundary = f"=_report-{stamp.id}"
    while boundary.encode() in original.octets:
        boundary += "-"
    people = _for_people(notice, message, stamp, whole=original.whole)
    parts = [people, _for_programs(notice, message, stamp, international=international)]
    parts.append(_original(original, international=international))
    opening = f"--{boundary}\r\n".encode()
    body = b"".join(opening + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    octets = _header(notice, stamp, boundary) + b"\r\n" + body
    addresses = (*notice.to, stamp.author)
    return Report(octets, not octets.isascii(), any(not one.ascii for one in addresses))


def curtailed(octets: bytes) -> bytes | None:
    """Return a notice of ours without the body of what it returns; None where it returns a header only.

    What made a provider refuse a message, its size or its content, makes it refuse a notice that holds all of it.
    """
    header, _, body = octets.partition(b"\r\n\r\n")
    found = _BOUNDARY.search(header)
    parts = body.split(b"--" + found[1] + b"\r\n") if found is not None else []
    if found is None or len(parts) != 4:
        return None
    before, people, programs, last = parts
    kind, _, whole = last.partition(b"\r\n\r\n")
    if not kind.startswith((b"Content-Type: message/rfc822", b"Content-Type: message/global")) or b"-headers" in kind:
        return None
    words, follows, rest = people.rpartition(_ALL_FOLLOWS.encode())
    people = words + _HEADER_FOLLOWS.encode() + rest if follows else people
    opening = b"--" + found[1] + b"\r\n"
    returned = _original(Original(whole).header, international=b"message/global-delivery-status" in programs)
    again = opening.join((before, people, programs, returned + b"\r\n--" + found[1] + b"--\r\n"))
    return header + b"\r\n\r\n" + again


def signed(octets: bytes, author: Mailbox) -> bytes:
    """Return a notice of ours with another address in its From."""
    return _FROM.sub(lambda found: found[1] + str(author).encode(), octets, count=1)


def _header(notice: Notice, stamp: Stamp, boundary: str) -> bytes:
    name = "Mail Delivery System"
    to = ",\r\n ".join(f"<{one}>" for one in notice.to)
    fields = (
        f"From: {name} <{stamp.author}>",
        f"To: {to}",
        f"Subject: {_SUBJECTS[notice.kind]}",
        f"Date: {_date(stamp.at)}",
        f"Message-ID: <{stamp.id}@{stamp.hostname}>",
        # RFC 3834 §5: automatic answers stay silent on it, so that none of them ever answers a notice.
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
    )
    return "".join(f"{field}\r\n" for field in fields).encode()


def _for_people(notice: Notice, message: SpooledMessage, stamp: Stamp, *, whole: bool) -> bytes:
    lines = [f"This is the mail relay {stamp.hostname}.", "", *_wrapped(_OPENINGS[notice.kind]), ""]
    diagnoses: dict[tuple[str, Reply], Diagnosis] = {}
    for finding in notice.findings:
        diagnosis = diagnoses.get(finding.cause) or _diagnosis(notice.kind, finding, message, stamp)
        diagnoses[finding.cause] = diagnosis
        lines.append(f"<{finding.row.recipient.forward_path}>")
        said = finding.said or finding.reply
        by = f"{said.said_by} said" if said.said_by != "relay" else "What happened"
        if notice.kind is NoticeKind.FAILED and said is not finding.reply:
            lines += _wrapped(str(finding.reply), "    ")
        lines += _wrapped(f"{by}: {said}", "    ")
        lines += _explained(diagnosis)
        if notice.kind is NoticeKind.FAILED and diagnosis.actor is not Actor.SENDER:
            lines += _wrapped(_HAND_ON, "    ")
        if notice.kind is NoticeKind.FAILED and finding.row.uncertain and diagnosis.key != "gave_up_uncertain":
            lines += _wrapped(_PERHAPS, "    ")
        lines.append("")
    lines.append(f"The message was accepted on {_date(message.accepted_at)} under the ID {message.id}.")
    lines += [_ALL_FOLLOWS if whole else _HEADER_FOLLOWS, ""]
    text = "\r\n".join(lines).encode()
    if text.isascii():
        return b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + text
    kind = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return kind + _quoted_printable(text)


def _for_programs(notice: Notice, message: SpooledMessage, stamp: Stamp, *, international: bool) -> bytes:
    fields = [f"Reporting-MTA: dns; {stamp.hostname}"]
    if message.envelope_id:
        fields.insert(0, f"Original-Envelope-Id: {_printable(xtext_decoded(message.envelope_id))}")
    fields.append(f"Arrival-Date: {_date(message.accepted_at)}")
    each = (_recipient_fields(notice.kind, one, stamp, international=international) for one in notice.findings)
    groups = [fields, *each]
    text = "\r\n".join("".join(f"{field}\r\n" for field in group) for group in groups)
    if not international:
        octets = text.encode("ascii", "replace")
        return b"Content-Type: message/delivery-status\r\n\r\n" + octets
    kind = b"Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return kind + text.encode()


def _recipient_fields(kind: NoticeKind, finding: Finding, stamp: Stamp, *, international: bool) -> list[str]:
    row, said = finding.row, finding.said
    fields = []
    if row.recipient.original:
        fields.append(f"Original-Recipient: {_original_recipient(row.recipient.original, international=international)}")
    path = row.recipient.forward_path
    fields.append(f"Final-Recipient: {'rfc822' if path.ascii else 'utf-8'};{path}")
    fields += [f"Action: {kind}", f"Status: {finding.reply.enhanced}"]
    if said is not None and said.said_by != "relay":
        fields.append(f"Remote-MTA: dns; {_printable(said.said_by)}")
    quoted = said or finding.reply
    diagnostic = "smtp" if quoted.said_by != "relay" else "x-relay"
    fields.append(_folded(f"Diagnostic-Code: {diagnostic}; {_printable(str(quoted))}"))
    fields.append(f"Last-Attempt-Date: {_date(stamp.at)}")
    if kind is NoticeKind.DELAYED:
        fields.append(f"Will-Retry-Until: {_date(row.give_up_at)}")
    return fields


def _original_recipient(original: str, *, international: bool) -> str:
    form, _, value = original.partition(";")
    decoded = unitext_decoded(value) if form.casefold() == "utf-8" else xtext_decoded(value)
    if not international and not decoded.isascii():
        # RFC 6533 §4: message/delivery-status has the form for SMTP without SMTPUTF8, which is the one that came.
        decoded = value
    return f"{_printable(form)};{_printable(decoded)}"


def _original(original: Original, *, international: bool) -> bytes:
    octets = original.octets if original.octets.endswith(b"\r\n") else original.octets + b"\r\n"
    encoding = b"" if octets.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    section = Original(octets).header.octets
    # RFC 6532 §3.7: what is "global" has a header in UTF-8, and not merely letters beyond ASCII.
    worldwide = international and not section.isascii() and _is_utf8(section)
    if original.whole:
        kind = b"message/global" if worldwide else b"message/rfc822"
        return b"Content-Type: " + kind + b"\r\n" + encoding + b"\r\n" + octets
    if worldwide:
        return b"Content-Type: message/global-headers\r\n" + encoding + b"\r\n" + octets
    if octets.isascii() and b"\0" not in octets and max(map(len, octets.split(b"\r\n"))) <= _LONGEST_LINE:
        return b"Content-Type: text/rfc822-headers\r\n\r\n" + octets
    # Raw 8-bit letters, NUL and longer lines are not RFC 5322's; encoded they pass everywhere, and nothing is lost.
    charset = b"utf-8" if _is_utf8(octets) else b"iso-8859-1"
    kind = b"Content-Type: text/rfc822-headers; charset=" + charset
    return kind + b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + _quoted_printable(octets)


def _beyond_ascii(recipient: Recipient) -> bool:
    return not (recipient.forward_path.ascii and (recipient.original or "").isascii())


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _diagnosis(kind: NoticeKind, finding: Finding, message: SpooledMessage, stamp: Stamp) -> Diagnosis:
    names = names_of(stamp.upstream, stamp.settings, message.header_from)
    if kind is not NoticeKind.FAILED:
        return diagnosis_for(kind, "", names)
    return diagnosis_of_failure(*finding.cause, stamp.settings, names)


def _explained(diagnosis: Diagnosis) -> Iterable[str]:
    """Yield the diagnosis's lines; what is copied into a shell is not broken, and senders are shown no manuals."""
    technical = diagnosis.actor not in {Actor.SENDER, Actor.NOBODY}
    for line in lines_of(diagnosis.shape() | ({} if technical else {"link": ""})):
        if technical and line.startswith(" "):
            yield f"    {line}"
        else:
            yield from _wrapped(line, "    ")


def _folded(field: str) -> str:
    return "\r\n".join(textwrap.wrap(field, width=_WIDTH, subsequent_indent=" ", break_on_hyphens=False))


def _wrapped(text: str, indent: str = "") -> Iterable[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        width=_WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + ("  " if indent else ""),
        break_on_hyphens=False,
    )


def _quoted_printable(octets: bytes) -> bytes:
    return quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")


def _printable(text: str) -> str:
    # What others said must not begin a field of its own.
    return "".join(character if character.isprintable() else "?" for character in text)


def _date(at: int) -> str:
    return format_datetime(datetime.fromtimestamp(at // 1000, UTC))

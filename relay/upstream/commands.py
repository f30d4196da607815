"""The command lines of a transaction, with the parameters that the server offers and no others; pure."""

from __future__ import annotations

import re

from relay.envelope import Body, Content, Envelope, Recipient
from relay.upstream.contract import Cause
from relay.upstream.extensions import Extensions

# What may stand behind ENVID= and ORCPT= without breaking the line (RFC 3461 §4.2, §4.4; UTF-8 by RFC 6533 §3).
_VALUE = re.compile(r"[^\x00-\x20\x7f]+")
_LETTER = re.compile(r"[^\x00-\x7f]")


def speaks_utf8(envelope: Envelope) -> bool:
    """Tell whether an address of the envelope can be said only with SMTPUTF8 (RFC 6531 §3.4)."""
    paths = [recipient.forward_path for recipient in envelope.recipients]
    if envelope.reverse_path is not None:
        paths.append(envelope.reverse_path)
    return not all(path.ascii for path in paths)


def misfit_of(envelope: Envelope, content: Content, extensions: Extensions) -> Cause | None:
    """Tell why this server can't take this message, as far as its EHLO says; then nothing needs to be sent at all."""
    if extensions.size_limit is not None and content.size > extensions.size_limit:
        return Cause.TOO_LARGE
    if "SMTPUTF8" not in extensions and speaks_utf8(envelope):
        return Cause.SMTPUTF8_MISSING
    return None


def mail_command(envelope: Envelope, content: Content, extensions: Extensions) -> bytes:
    """Return MAIL with SIZE, BODY, SMTPUTF8, RET and ENVID, as far as offered and needed."""
    words = [f"MAIL FROM:<{envelope.reverse_path or ''}>"]
    if "SIZE" in extensions:
        words.append(f"SIZE={content.size}")
    # Said for an all-ASCII message it would keep servers from passing it on that could take it.
    utf8 = "SMTPUTF8" in extensions and ((envelope.smtputf8 and content.eight_bit) or speaks_utf8(envelope))
    if "8BITMIME" in extensions and (content.eight_bit or utf8 or envelope.body is Body.EIGHT_BIT_MIME):
        words.append("BODY=8BITMIME")
    if utf8:
        words.append("SMTPUTF8")
    if "DSN" in extensions:
        if envelope.dsn_return is not None:
            words.append(f"RET={envelope.dsn_return}")
        if envelope.envelope_id is not None and _VALUE.fullmatch(envelope.envelope_id):
            words.append(f"ENVID={envelope.envelope_id}")
    return " ".join(words).encode("utf-8")


def rcpt_command(recipient: Recipient, extensions: Extensions) -> bytes:
    """Return RCPT with NOTIFY and ORCPT where DSN is offered."""
    line = f"RCPT TO:<{recipient.forward_path}>"
    if "DSN" in extensions:
        if recipient.notify is not None:
            line += f" NOTIFY={recipient.notify}"
        original = recipient.original
        if original is not None and not original.isascii() and recipient.forward_path.ascii:
            # This transaction need not be one of SMTPUTF8, whatever the server offers.
            original = _embedded(original)
        if original is not None and _VALUE.fullmatch(original):
            line += f" ORCPT={original}"
    return line.encode("utf-8")


def _embedded(original: str) -> str | None:
    r"""Return a `utf-8` address of ORCPT with its letters as `\x{...}` (RFC 6533 §3); others have no such form."""
    if original.partition(";")[0].casefold() != "utf-8":
        return None
    return _LETTER.sub(lambda found: f"\\x{{{ord(found[0]):X}}}", original)

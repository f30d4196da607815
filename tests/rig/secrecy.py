"""Looking for a secret wherever it may have got to, in every form in which a program could have written it down."""

import base64
import json
import urllib.parse
from collections.abc import Iterable, Mapping

_SLICE = 24
"""Octets of a long secret that are looked for: of what is cut off in the middle, a part is enough to have leaked."""


def forms_of(secret: str) -> Mapping[str, bytes]:
    """Each form by its name: plain, escaped, in hexadecimal, and in base64 at whatever place of a longer text."""
    octets = secret.encode()
    forms = {
        "plain": octets,
        "Latin-1": secret.encode("latin-1", "replace"),
        "URL": urllib.parse.quote(secret, safe="").encode(),
        "path": urllib.parse.quote(secret).encode(),
        "form": urllib.parse.quote_plus(secret).encode(),
        "JSON": json.dumps(secret)[1:-1].encode(),
        "JSON in UTF-8": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        "repr": repr(secret)[1:-1].encode(),
        "hexadecimal": octets.hex().encode(),
        "HEXADECIMAL": octets.hex().upper().encode(),
    }
    for offset in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            # The first and the last digits depend on what stands beside the secret.
            digits = encode(bytes(offset) + octets)
            begin = (offset * 8 + 5) // 6
            end = (offset + len(octets)) * 8 // 6
            forms[f"{name} at {offset}"] = digits[begin:end]
    return forms


def found_in(places: Mapping[str, bytes], secrets: Mapping[str, str]) -> list[str]:
    """What was found where: a line for each form of a secret in a place."""
    everything = b"\0".join(places.values())
    found: list[str] = []
    for name, secret in secrets.items():
        for part in _parts(secret):
            # Most secrets look the same in most forms.
            distinct = {octets: form for form, octets in reversed(list(forms_of(part).items()))}
            for octets, form in distinct.items():
                if octets in everything:
                    found += [f"{name} ({form}) in {place}" for place, content in places.items() if octets in content]
    return sorted(set(found))


def _parts(secret: str) -> Iterable[str]:
    if len(secret) <= 2 * _SLICE:
        return (secret,)
    middle = len(secret) // 2
    return (secret[:_SLICE], secret[middle : middle + _SLICE], secret[-_SLICE:])

"""The cure for a misspelt word: the nearest that exists."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The word meant, or None where nothing comes near; hyphens and case don't count."""
    spelt = {name.casefold().replace("-", "_"): name for name in known}
    wanted = word.casefold().replace("-", "_")
    near = difflib.get_close_matches(wanted, spelt, 1, cutoff=0.6)
    return spelt[near[0]] if near else None


def choice(word: str, known: Iterable[str], quote: str = '"') -> str:
    """What to write instead: the nearest word, or all there are."""
    known = list(known)
    near = nearest(word, known)
    if near is not None:
        return f"write {quote}{near}{quote}"
    return f"use one of {', '.join(f'{quote}{name}{quote}' for name in known)}" if known else "remove it"

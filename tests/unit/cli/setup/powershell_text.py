"""PowerShell as its own parser takes it apart, as far as quotes, comments and brackets go."""

import re

_SINGLE = "'\u2018\u2019\u201a\u201b"
_DOUBLE = '"\u201c\u201d\u201e'
_PAIRS = {")": "(", "}": "{", "]": "["}


def literals_of(script: str) -> list[str]:
    """The texts in single quotes, in order, as PowerShell reads them; AssertionError where it would not parse."""
    found: list[str] = []
    open_brackets: list[str] = []
    position = 0
    while position < len(script):
        letter = script[position]
        position += 1
        if letter == "#":
            position = (script + "\n").index("\n", position)
        elif letter in _SINGLE:
            literal, position = _single(script, position)
            found.append(literal)
        elif letter in _DOUBLE:
            position = _double(script, position)
        elif letter in "({[":
            open_brackets.append(letter)
        elif letter in _PAIRS:
            assert open_brackets, f"{letter} closes nothing"
            assert open_brackets.pop() == _PAIRS[letter]
        elif letter == "\n":
            assert not open_brackets, "a statement goes over its line"
    assert not open_brackets
    return found


def _single(script: str, position: int) -> tuple[str, int]:
    literal = ""
    while True:
        assert position < len(script), "a text that does not end"
        letter = script[position]
        position += 1
        if letter in _SINGLE:
            if script[position : position + 1] not in tuple(_SINGLE):
                return literal, position
            letter = script[position]
            position += 1
        assert letter != "\n", "a text over two lines"
        literal += letter


def _double(script: str, position: int) -> int:
    """Only what the scripts of ours have in such a text: one $(...) without quotes of its own kind."""
    ended = re.compile(f"[{_DOUBLE}]").search(script, position)
    assert ended is not None, "a text that does not end"
    assert "`" not in script[position : ended.start()]
    return ended.end()

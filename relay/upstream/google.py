"""What is particular to Gmail and Google Workspace."""

from __future__ import annotations


def app_password(shown: str) -> str:
    """Return an app password as it is to be sent: Google shows `abcd efgh ijkl mnop`, with blanks for reading."""
    return "".join(shown.split())

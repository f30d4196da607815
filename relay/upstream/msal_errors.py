"""What asking by msal may raise."""

from __future__ import annotations


def request_errors() -> tuple[type[Exception], ...]:
    """Return what msal raises: ValueError for an unknown tenant, KeyError for a document that lacks what it needs.

    OSError for Azure Arc's key; of it RequestException is one.
    """
    from msal.exceptions import MsalError  # type: ignore[import-untyped]
    from requests import RequestException

    return (RequestException, MsalError, OSError, ValueError, RuntimeError, KeyError, TypeError)

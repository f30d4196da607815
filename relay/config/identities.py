"""Which [identity.NAME] stands for an address: one that names it, else one that names its domain."""

from __future__ import annotations

from collections.abc import Mapping

from relay.config.client_settings import IdentitySettings


class Identities:
    """The identities of one configuration; false where there are none."""

    def __init__(self, identities: Mapping[str, IdentitySettings]) -> None:
        self._by_match = {match.casefold(): name for name, table in identities.items() for match in table.match}

    def __bool__(self) -> bool:
        return bool(self._by_match)

    def named_for(self, address: str) -> str | None:
        """Return the name of the identity that stands for an address, or None."""
        address = address.casefold()
        found = self._by_match.get(address)
        return found if found is not None else self._by_match.get(f"@{address.rpartition('@')[2]}")

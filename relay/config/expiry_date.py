"""A day on which something ends, as a person copies it from a provider's page."""

from datetime import UTC, date, datetime, time
from typing import Annotated, TypeAlias

from pydantic import AwareDatetime, BeforeValidator

from relay.config.mistake import mistake


def _beginning(value: object) -> object:
    if isinstance(value, datetime):
        # Without a zone, UTC is as good as any: what counts are days.
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise mistake("expected a date without quotes", "write it like 2027-05-31")


ExpiryDate: TypeAlias = Annotated[AwareDatetime, BeforeValidator(_beginning)]
"""A date, of which the beginning counts, or a date and time."""

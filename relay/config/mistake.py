"""The way in which a validator says what is wrong with a value."""

from pydantic_core import PydanticCustomError

MISTAKE = "relay"


def mistake(what: str, cure: str) -> PydanticCustomError:
    """A validator raises this; `what` names no secret, `cure` says what to write instead."""
    return PydanticCustomError(MISTAKE, "{text}", {"text": f"{what}; {cure}"})

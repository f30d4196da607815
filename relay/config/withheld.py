"""Which variables are ours alone: a command that an operator names is run without them."""

from relay.config.references import references_in
from relay.config.secret_reference import SecretReference
from relay.config.settings import Settings


def withheld_variables(settings: Settings) -> frozenset[str]:
    """The names of the variables that hold a secret of the configuration."""
    places = (reference.place for reference in references_in(settings))
    return frozenset(place.env for place in places if isinstance(place, SecretReference) and place.env is not None)

"""An attempt of which every recipient came to another end."""

from relay.spool.records import Claim, HoldReason, RecipientState, Settlement
from tests.contract.mail import LATER, NEVER, OK


def mixed(claim: Claim, until: int) -> list[Settlement]:
    """Relayed, failed, deferred and held: four recipients."""
    return [
        Settlement(0, RecipientState.RELAYED, "relayed", OK),
        Settlement(1, RecipientState.FAILED, "failed", NEVER),
        Settlement(2, RecipientState.QUEUED, "deferred", LATER, until),
        Settlement(3, RecipientState.HELD, "held", LATER, hold_reason=HoldReason.SEND_AS),
    ]

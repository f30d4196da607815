"""What all parts of transfer share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from relay.config.settings import Settings
from relay.journal import Journal
from relay.spool.contract import Outgoing
from relay.transfer.client_pace import ClientPaces
from relay.transfer.clock import Clock, wall_clock


@dataclass(slots=True)
class Surroundings:
    """`settings` is replaced at a reload; `chance` gives random numbers from 0 to 1."""

    settings: Settings
    outgoing: Outgoing
    journal: Journal
    clock: Clock = wall_clock
    chance: Callable[[], float] = field(default=random.random)
    paces: ClientPaces = field(init=False)

    def __post_init__(self) -> None:
        self.paces = ClientPaces(lambda: self.settings)

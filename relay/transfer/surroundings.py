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
from relay.transfer.faces import Faces


@dataclass(slots=True)
class Surroundings:
    """`settings` and `faces` are replaced at a reload, by `apply`; `chance` gives random numbers from 0 to 1."""

    settings: Settings
    outgoing: Outgoing
    journal: Journal
    clock: Clock = wall_clock
    chance: Callable[[], float] = field(default=random.random)
    paces: ClientPaces = field(init=False)
    faces: Faces = field(init=False)

    def __post_init__(self) -> None:
        self.paces = ClientPaces(lambda: self.settings)
        self.faces = Faces(self.settings)

    def apply(self, settings: Settings) -> None:
        """Go on with other settings."""
        self.settings = settings
        self.faces = Faces(settings, self.faces)

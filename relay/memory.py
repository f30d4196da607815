"""What serving does with memory: little is looked through for garbage, and little given back between messages."""

from __future__ import annotations

import gc

from relay.envelope import WHOLE

_ALLOCATIONS = 20_000
"""Objects made and still alive after which new ones are looked through for cycles; Python's 700 are a few messages."""


def settle() -> None:
    """Go over from starting to serving."""
    _collect_less()
    _give_back_less()


def _collect_less() -> None:
    """Leave what start-up made out of garbage collection, which would go through it for every few messages."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)
    gc.enable()


def _give_back_less() -> None:
    """Have what one message's content took at hand for the next, instead of new pages from the kernel each time.

    Where glibc has once freed a block of this size, it takes the like from the heap, and keeps twice as much of that
    unused (mallopt(3), M_MMAP_THRESHOLD). Another C library does as it likes.
    """
    bytes(WHOLE)

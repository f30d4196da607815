from relay.spool.counts import Counts
from relay.spool.records import QueueCounts, RecipientState


def test_they_follow_and_forget_zeros() -> None:
    counts = Counts()
    counts.replace([(("client", "lab", ""), 2), (("client", "old", ""), 0), (("upstream", "gmail", "queued"), 3)])
    counts.apply({("client", "lab", ""): -2, ("client", "careright", ""): 1, ("upstream", "gmail", "held"): 1})
    assert (counts.waiting("lab"), counts.waiting("careright"), counts.waiting("old")) == (0, 1, 0)
    assert counts.recipients() == {("gmail", RecipientState.QUEUED): 3, ("gmail", RecipientState.HELD): 1}
    counts.replace([])
    assert counts.recipients() == {}


def test_totals() -> None:
    queued, held = RecipientState.QUEUED, RecipientState.HELD
    counts = QueueCounts({("a", queued): 3, ("b", queued): 4, ("a", held): 1})
    assert counts.total(queued) == 7
    assert counts.total(queued, ["a"]) == 3
    assert counts.total(held, ["b"]) == 0

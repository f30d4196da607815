"""Whom an upstream's connection trusts."""

import os
from pathlib import Path

from relay.upstream.trust import Trust


def test_a_changed_file_gives_another_stamp(tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    trust = Trust(ca_file=authorities)
    missing = trust.stamp()
    authorities.write_text("x")
    there = trust.stamp()
    os.utime(authorities, (1, 1))
    assert len({missing, there, trust.stamp()}) == 3


def test_files_that_cannot_be_looked_for_end_nothing() -> None:
    unknowable = Path("/" + "x" * 300)
    assert Trust(ca_file=unknowable, client_certificate=unknowable).stamp() == (None, None)

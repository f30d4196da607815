"""What serving does with memory; in processes of their own, since it lasts."""

import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource
from relay import memory
{settled}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def contents(times):
    for _ in range(times):
        kept = [b"x" * 100_000 for _ in range(5)]
        del kept
contents(5)
before = faults()
contents(20)
print(faults() - before)
"""


def said(code: str) -> list[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library does as it likes")
def test_contents_one_after_the_other_take_no_new_pages_once_settled() -> None:
    [before], [after] = said(_FAULTS.format(settled="")), said(_FAULTS.format(settled="memory.settle()"))
    assert int(before) > 1000
    assert int(after) < 200


def test_cycles_are_looked_for_again_once_settled() -> None:
    told = "print(gc.isenabled(), gc.get_freeze_count())"
    enabled, frozen = said(f"import gc; from relay import memory; gc.disable(); memory.settle(); {told}")
    assert enabled == "True"
    assert int(frozen) > 0

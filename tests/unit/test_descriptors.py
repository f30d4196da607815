"""How many files may be open, in a process of its own, since that lasts."""

import subprocess
import sys

import pytest

_SAID = """
import resource, types
from relay import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
descriptors.allow_many()
one = types.SimpleNamespace(max_connections=100)
settings = types.SimpleNamespace(listener={{"a": one, "b": one}}, upstream={{"c": one}})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], descriptors.too_few(settings))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [
        (64, 364, "364 None\n"),
        (
            64,
            363,
            "363 this process may have 363 open files, and max_connections of listeners and upstreams need 364",
        ),
        (300, 1024, "1024 None\n"),
    ],
)
def test_as_many_as_there_may_be_and_a_word_where_they_are_too_few(soft: int, hard: int, said: str) -> None:
    command = [sys.executable, "-c", _SAID.format(soft=soft, hard=hard)]
    heard = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    assert heard.startswith(said)

"""What an upstream loads before it is needed."""

import subprocess
import sys

HEAVY = ("msal", "requests", "cryptography", "boto3", "urllib3")


def test_nothing_heavy_before_the_first_token() -> None:
    program = f"import sys, relay.upstream.construction; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

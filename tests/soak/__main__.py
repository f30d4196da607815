"""`python -m tests.soak [ROUNDS]`: the long form, for `make soak`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.soak import Soak, seed_of_this_run


def main() -> None:
    """Run, and say what happened."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = seed_of_this_run()
    print(f"{rounds} rounds with seed {seed}; the same again: SOAK_SEED={seed} make soak", flush=True)
    with TemporaryDirectory(prefix="relay-soak-") as folder:
        try:
            print(Soak(Path(folder), seed).run(rounds))
        except AssertionError as error:
            sys.exit(f"FAILED\n{error}")


if __name__ == "__main__":
    main()

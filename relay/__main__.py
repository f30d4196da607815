"""The entry point: `serve` at once, every other command by way of the command line's libraries."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from types import FrameType
from typing import NoReturn

from relay.cli.arguments import arguments_from


def main() -> None:
    """Run what was typed and exit with its status; no traceback reaches a user."""
    sys.exit(_status(sys.argv[1:]))


def _status(words: list[str]) -> int:
    # What we write is nobody else's business: queue, secrets, captured mail.
    os.umask(0o077)
    # A core dump would hold every secret in the clear.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        arguments = arguments_from(words)
        # What is loaded stays: looking for garbage in it takes a tenth of the time. The daemon begins with that again.
        gc.disable()
        if arguments.serves:
            # Before it hears signals itself: a reload finds the file unread, and must not end what is about to start.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGINT, _stopped)
            signal.signal(signal.SIGTERM, _stopped)
            from relay.daemon import serve

            return serve(arguments.config)
        from relay.cli.command import run

        gc.enable()
        status = run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _defect(error)
    return status


def _stopped(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _defect(error: Exception) -> int:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "unknown place"
    text = " ".join(str(error).split())
    sys.stderr.write(f"relay: {type(error).__name__} at {where}: {text:.300}; this is a defect of Relay, report it\n")
    return 1


if __name__ == "__main__":
    main()

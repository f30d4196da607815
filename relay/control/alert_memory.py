"""What people were told of that no gate of the spool remembers, kept in state_dir/alerts.json over restarts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from relay.config.private_file import make
from relay.journal import Journal

NAME = "alerts.json"


@dataclass(frozen=True, slots=True)
class Told:
    """The last that was told of something that ends: its end then, the mark, and whether the mail is on its way."""

    expires_at: int
    mark: float
    mailed: bool


class AlertMemory:
    """`ends` by what ends, `quotas` by upstream and limit: when it was told. Change them, then `save`."""

    def __init__(self, state_dir: Path, journal: Journal) -> None:
        self._path = state_dir / NAME
        self._journal = journal
        self.ends: dict[str, Told] = {}
        self.quotas: dict[str, int] = {}
        self._kept = self._text({}, {})

    def load(self) -> None:
        """Read the file; one that is missing or damaged means that nothing was told."""
        try:
            found = json.loads(self._path.read_bytes())
            ends = {
                str(what): Told(int(told["expires_at"]), float(told["mark"]), bool(told["mailed"]))
                for what, told in found["ends"].items()
            }
            quotas = {str(what): int(at) for what, at in found["quotas"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._journal.failed("alert memory", error)
            return
        self.ends, self.quotas, self._kept = ends, quotas, self._text(ends, quotas)

    @property
    def changed(self) -> bool:
        """True where there is something to save."""
        return self._text(self.ends, self.quotas) != self._kept

    def save(self) -> None:
        """Write the file. What can't be written is remembered until the process ends."""
        text = self._text(self.ends, self.quotas)
        try:
            make(self._path, text.encode())
        except OSError as error:
            self._journal.failed("alert memory", error)
        self._kept = text

    @staticmethod
    def _text(ends: dict[str, Told], quotas: dict[str, int]) -> str:
        return json.dumps({"ends": {what: asdict(told) for what, told in ends.items()}, "quotas": quotas})

"""The configuration file and the environment, made settings; or all that is wrong with them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.config.crosscheck import doubtful, impossible
from relay.config.document import Document, read_document
from relay.config.draft import Draft, draft_of
from relay.config.environment import apply_environment
from relay.config.problems import Fault, Problem
from relay.config.section import FOLDER
from relay.config.settings import Settings
from relay.config.smtp_variables import HOST, document_of_variables
from relay.config.unbuilt import warned
from relay.config.workload_identity import apply_workload_identity

PLACES: Final = (Path("relay.toml"), Path("/etc/relay/relay.toml"))


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, or problems; warnings in either case. Without problems there are settings."""

    path: Path
    settings: Settings | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    document: Document | None = None
    draft: Draft | None = None


def find(config_option: str | Path | None, environ: Mapping[str, str]) -> Path:
    """The configuration file: --config, else $RELAY_CONFIG, else ./relay.toml, else /etc/relay/relay.toml."""
    named = config_option or environ.get("RELAY_CONFIG")
    if named:
        return Path(named)
    # Path.exists raises where a folder may not be searched.
    return next((place for place in PLACES if os.path.exists(place)), PLACES[-1])


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Reads a configuration. Never raises; a TOML syntax error stands alone, all else is reported at once."""
    if path in PLACES and HOST in environ and not os.path.exists(path):
        document, faults = document_of_variables(path, environ)
        return loaded_from(document, environ, faults)
    read = read_document(path)
    if isinstance(read, Problem):
        return Loaded(path, None, (read,), ())
    return loaded_from(read, environ)


def loaded_from(document: Document, environ: Mapping[str, str], faults: Iterable[Fault] = ()) -> Loaded:
    """What load makes of a document, in which `faults` were found; changes it to what the environment says."""
    path = Path(document.file)
    faults = [*faults, *apply_environment(document, environ)]
    apply_workload_identity(document, environ)
    draft = draft_of(document)
    for found in (draft.faults, impossible(draft, document.tables)):
        told = {fault.path for fault in faults}
        faults += [fault for fault in found if fault.path not in told]
    problems = _in_order(document, faults)
    warnings = _in_order(document, [*warned(document.tables), *doubtful(draft, document.tables)])
    settings = None if problems else _settings(draft, document)
    return Loaded(path, settings, problems, warnings, document, draft)


def _in_order(document: Document, faults: list[Fault]) -> tuple[Problem, ...]:
    problems = dict.fromkeys(document.problem(fault) for fault in faults)
    return tuple(sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0)))


def _settings(draft: Draft, document: Document) -> Settings:
    tables: dict[str, object] = {
        "tls": draft.tls,
        "queue": draft.queue,
        "alerts": draft.alerts,
        "metrics": draft.metrics,
        "console": draft.console,
        "log": draft.log,
        "client": draft.clients,
        "identity": draft.identities,
        "upstream": draft.upstreams,
    }
    if draft.listeners:
        tables["listener"] = draft.listeners
    return Settings.model_validate(
        dict(draft.general) | tables, context={FOLDER: Path(document.file).absolute().parent}
    )

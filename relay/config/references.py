"""Every secret and file that the settings refer to, with the key that does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.config.draft import Draft
from relay.config.microsoft365_settings import Assertion
from relay.config.problems import KeyPath
from relay.config.seal import STORE
from relay.config.secret_reference import SecretReference
from relay.config.section import Section
from relay.config.settings import Settings

_TOP: Final = ("tls", "queue", "alerts", "metrics", "console", "log")


@dataclass(frozen=True, slots=True)
class Reference:
    """A key and what it refers to: a file, or the place of a secret."""

    path: KeyPath
    place: Path | SecretReference


def references_in_draft(draft: Draft) -> Iterator[Reference]:
    """What a configuration refers to, as far as it parsed."""
    groups: Mapping[str, Mapping[str, Section]] = {
        "listener": draft.listeners,
        "client": draft.clients,
        "identity": draft.identities,
        "upstream": draft.upstreams,
    }
    yield from _all(draft, groups)


def references_in(settings: Settings) -> Iterator[Reference]:
    """What the settings refer to."""
    groups: Mapping[str, Mapping[str, Section]] = {
        "listener": settings.listener,
        "client": settings.client,
        "identity": settings.identity,
        "upstream": settings.upstream,
    }
    yield from _all(settings, groups)


def watched_files(settings: Settings) -> tuple[Path, ...]:
    """The files that a running serve watches besides its configuration: the sealed store, secrets, keys, texts.

    Each may be replaced, and may be missing.
    """
    files = {_file(reference.place) for reference in references_in(settings)} | {settings.state_dir / STORE}
    return tuple(sorted(file for file in files if file is not None))


def _file(place: Path | SecretReference) -> Path | None:
    return place if isinstance(place, Path) else place.file


def _all(owner: object, groups: Mapping[str, Mapping[str, Section]]) -> Iterator[Reference]:
    for name in _TOP:
        section = getattr(owner, name)
        if section is not None:
            yield from _in_section((name,), section)
    for group, sections in groups.items():
        for name, section in sections.items():
            yield from _in_section((group, name), section)


def _in_section(path: KeyPath, section: Section) -> Iterator[Reference]:
    for name in type(section).model_fields:
        value = getattr(section, name, None)
        if isinstance(value, Path | SecretReference):
            yield Reference((*path, name), value)
        elif isinstance(value, Section) and not isinstance(value, Assertion):
            yield from _in_section((*path, name), value)
        elif isinstance(value, Assertion) and value.file is not None:
            yield Reference((*path, name, "file"), value.file)

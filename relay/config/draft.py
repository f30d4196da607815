"""The tables of a document as far as they are right: every key on its own, so that one mistake hides no other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, ValidationError, create_model

from relay.config.client_settings import ClientSettings, IdentitySettings
from relay.config.document import Document
from relay.config.listener_settings import DEFAULT_LISTENER, ListenerSettings, TlsSettings
from relay.config.nearest import choice, nearest
from relay.config.operating_settings import AlertSettings, ConsoleSettings, LogSettings, MetricsSettings, QueueSettings
from relay.config.problems import Fault, KeyPath
from relay.config.schema import SINGLE, TOP, keys_in, keys_of, tables_with, types_with
from relay.config.section import FOLDER, Section
from relay.config.settings import UPSTREAM_TYPES, GeneralSettings
from relay.config.upstream_settings import UpstreamSettings
from relay.config.wording import named, wording

SectionType = TypeVar("SectionType", bound=Section)

# Each round takes away the keys at fault; a default that follows from them may need a second.
_ROUNDS: Final = 4
_LONGEST_NAME: Final = 64


@dataclass(slots=True)
class Draft:
    """What parsed. In a table with faults, keys that are missing or wrong have their default, or None."""

    general: GeneralSettings
    tls: TlsSettings | None = None
    queue: QueueSettings = field(default_factory=QueueSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    log: LogSettings = field(default_factory=LogSettings)
    listeners: dict[str, ListenerSettings] = field(default_factory=dict)
    clients: dict[str, ClientSettings] = field(default_factory=dict)
    identities: dict[str, IdentitySettings] = field(default_factory=dict)
    upstreams: dict[str, UpstreamSettings] = field(default_factory=dict)
    upstream_names: tuple[str, ...] = ()
    """All tables under [upstream], those of unknown type too."""
    faults: list[Fault] = field(default_factory=list)


def draft_of(document: Document) -> Draft:
    """Reads each table of the document; whatever is wrong with one key is in the draft's faults."""
    folder = Path(document.file).absolute().parent
    reading = _Reading(document.tables, folder)
    reading.unknown_tables()
    general = {key: value for key, value in document.tables.items() if key in GeneralSettings.model_fields}
    draft = Draft(reading.section((), GeneralSettings, general), faults=reading.faults)
    for name, model in SINGLE.items():
        if name in document.tables:
            setattr(draft, name, reading.single(name, model))
    draft.listeners = reading.tables_by_name("listener", ListenerSettings)
    draft.clients = reading.tables_by_name("client", ClientSettings)
    draft.identities = reading.tables_by_name("identity", IdentitySettings)
    upstreams = reading.named_tables("upstream")
    draft.upstream_names = tuple(upstreams)
    for name, table in upstreams.items():
        kind = reading.upstream_type(name, table)
        if kind is not None:
            draft.upstreams[name] = reading.section(("upstream", name), kind, table)
    return draft


class _Reading:
    """Reads tables and collects what is wrong with them."""

    def __init__(self, tables: Mapping[str, Any], folder: Path) -> None:
        self._tables = tables
        self._context = {FOLDER: folder}
        self.faults: list[Fault] = []

    def unknown_tables(self) -> None:
        """Keys and tables at the top that don't exist."""
        for name, value in self._tables.items():
            if name in TOP:
                continue
            what = "table" if isinstance(value, dict) else "key"
            near = nearest(name, TOP)
            places = list(tables_with(name))
            if what == "key" and near is None and places:
                cure = f"it belongs {' or '.join(places)}"
            elif what == "table" and near is None and places:
                cure = f"it is a key, which belongs {' or '.join(places)}"
            else:
                cure = choice(name, TOP) if near is None else f'write "{near}"' if what == "key" else f"write [{near}]"
            self.faults.append(Fault((name,), f'unknown {what} "{name:.60}"; {cure}'))

    def single(self, name: str, model: type[Section]) -> Section | None:
        """The table [name], of which there is one."""
        table = self._tables[name]
        if isinstance(table, dict):
            return self.section((name,), model, table)
        self.faults.append(Fault((name,), f"expected a table, not {named(table)}; write [{name}] on a line of its own"))
        return model() if name != "tls" else None

    def named_tables(self, group: str) -> dict[str, Mapping[str, Any]]:
        """The tables under [group.NAME]; keys directly under [group] are faults."""
        tables = self._tables.get(group, {})
        if not isinstance(tables, dict):
            cure = f'write [{group}."NAME"] on a line of its own'
            self.faults.append(Fault((group,), f"expected tables with names, not {named(tables)}; {cure}"))
            return {}
        found: dict[str, Mapping[str, Any]] = {}
        for name, table in tables.items():
            if isinstance(table, dict):
                found[name] = table
                wrong = _wrong_with_name(name, table)
                if wrong is not None:
                    self.faults.append(Fault((group, name), wrong))
            else:
                example = DEFAULT_LISTENER if group == "listener" else "NAME"
                cure = f'put it under [{group}."{example}"]'
                self.faults.append(Fault((group, name), f"stands in [{group}], which holds tables with names; {cure}"))
        return found

    def tables_by_name(self, group: str, model: type[SectionType]) -> dict[str, SectionType]:
        """All tables under a group that has one kind of them."""
        return {name: self.section((group, name), model, table) for name, table in self.named_tables(group).items()}

    def upstream_type(self, name: str, table: Mapping[str, Any]) -> type[UpstreamSettings] | None:
        """The class for an upstream's table, by its type; None, and its unknown keys as faults, where it has none."""
        given = table.get("type")
        path: KeyPath = ("upstream", name)
        if isinstance(given, str) and given in UPSTREAM_TYPES:
            return UPSTREAM_TYPES[given]
        if given is None:
            choices = ", ".join(f'"{kind}"' for kind in UPSTREAM_TYPES)
            self.faults.append(Fault((*path, "type"), f'"type" is missing; add type = one of {choices}'))
        else:
            what = f'"{given:.40}" is no type of upstream' if isinstance(given, str) else "expected a text"
            self.faults.append(Fault((*path, "type"), f"{what}; {choice(str(given), UPSTREAM_TYPES)}"))
        for key in table:
            if key not in keys_in("upstream"):
                self.faults.append(Fault((*path, key), _unknown_key(key, path, UpstreamSettings)))
        return None

    def section(self, path: KeyPath, model: type[SectionType], table: Mapping[str, Any]) -> SectionType:
        """The table as far as it is right."""
        rest = dict(table)
        reading: type[SectionType] = model
        for turn in range(_ROUNDS):
            try:
                return reading.model_validate(rest, context=self._context)
            except ValidationError as error:
                at_fault = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
                if turn == 0:
                    self._report(path, model, table, error)
                reading = _lenient(model)
                rest = {key: value for key, value in rest.items() if key not in at_fault}
        nothing: SectionType = _lenient(model).model_construct()
        return nothing

    def _report(self, path: KeyPath, model: type[Section], table: Mapping[str, Any], error: ValidationError) -> None:
        reported = set()
        for each in error.errors(include_url=False):
            key = str(each["loc"][0]) if each["loc"] else ""
            if key in table and each["type"] != "missing":
                reported.add(key)
        for each in error.errors(include_url=False):
            key = str(each["loc"][0]) if each["loc"] else ""
            if each["type"] == "extra_forbidden" and len(each["loc"]) == 1:
                text = _unknown_key(key, path, model)
            elif key in table or each["type"] == "missing":
                text = _text(each, model)
            elif reported:
                continue  # a default that follows from a key reported already
            else:
                text = _text(each, model)
            fault = Fault((*path, *_place(each["loc"], table)), text)
            if fault not in self.faults:
                self.faults.append(fault)


def _wrong_with_name(name: str, table: Mapping[str, Any]) -> str | None:
    """What is wrong with the name of a table; it is shown, logged, and by capture used as a folder's."""
    if not name.strip():
        return 'the table has no name; write it like [client."careright"]'
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        return f"the table's name has control characters, or more than {_LONGEST_NAME} of any; choose a plain one"
    if table.get("type") == "capture" and ("/" in name or name in {".", ".."}):
        return 'the name becomes a folder\'s; choose one without "/"'
    return None


def _text(error: Any, model: type[Section]) -> str:
    location = [part for part in error["loc"] if isinstance(part, str)]
    field = keys_of(model).get(location[0]) if location else None
    if error["type"] == "extra_forbidden":
        return f'unknown key "{location[-1]:.60}"; remove it'
    return wording(error, location[-1] if location else "", field if len(location) == 1 else None)


def _place(location: tuple[str | int, ...], table: Any) -> KeyPath:
    """The part of pydantic's location that is a path in the document: the names of union members are left out."""
    path: list[str | int] = []
    value = table
    for number, part in enumerate(location):
        if isinstance(value, Mapping) and (part in value or number == 0):
            value = value.get(part)
            path.append(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            path.append(part)
    return tuple(path)


def _unknown_key(key: str, path: KeyPath, model: type[Section]) -> str:
    """Why a key isn't one of this table, and the nearest that is."""
    known = keys_of(model) if model is not UpstreamSettings else keys_in("upstream")
    if path and path[0] == "upstream" and types_with(key):
        kinds = " or ".join(f'"{kind}"' for kind in types_with(key))
        kind = model.model_fields["type"].default
        return f'"{key}" is no key of type "{kind}"; remove it, or make it type = {kinds}'
    near = nearest(key, known)
    if near is not None:
        return f'unknown key "{key:.60}"; write "{near}"'
    if model is UpstreamSettings:
        return f'unknown key "{key:.60}", whatever the type; remove it'
    places = list(tables_with(key))
    if places:
        return f'unknown key "{key}" here; it belongs {" or ".join(places)}'
    return f'unknown key "{key:.60}"; the keys of this table are {", ".join(known)}'


@cache
def _lenient(model: type[SectionType]) -> type[SectionType]:
    """The same table with no key demanded: one that is missing is None, which only the checks ever see."""
    optional: dict[str, Any] = {
        name: (Annotated[(field.annotation, *field.metadata, Field())], Field(default=None, alias=field.alias))
        for name, field in model.model_fields.items()
        if field.is_required()
    }
    lenient: type[SectionType] = create_model(model.__name__, __base__=model, **optional)
    return lenient

"""RELAY__ variables: settings that win over the file. The rules stand at the head of relay.toml's contract."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from relay.config.document import Document
from relay.config.nearest import nearest
from relay.config.problems import Fault, KeyPath
from relay.config.schema import NAMED, SINGLE, TOP, Form, form_of, keys_in, keys_of
from relay.config.settings import GeneralSettings

PREFIX: Final = "RELAY__"


def form_of_name(name: str) -> str:
    """A table's name as it stands in a variable: `lab-analyser` is `LAB_ANALYSER`."""
    return re.sub("[^A-Z0-9]", "_", name.upper())


def apply_environment(document: Document, environ: Mapping[str, str]) -> list[Fault]:
    """Puts the RELAY__ variables over the document's tables; the faults are those of variables and table names."""
    faults = list(_same_forms(document))
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        path = _path_of(variable, document)
        if path is None:
            document.variables[(variable,)] = variable
            faults.append(Fault((variable,), _unknown(variable)))
            continue
        table = _table_for(document, path, variable)
        if table is None:
            continue  # the file has something else in the table's place, which is reported there
        document.variables[path] = variable
        table.setdefault(str(path[-1]), environ[variable])
        try:
            table[str(path[-1])] = _value(variable, environ[variable], path)
        except ValueError as error:
            faults.append(Fault(path, str(error)))
    return faults


def _same_forms(document: Document) -> Iterator[Fault]:
    for group in NAMED:
        seen: dict[str, str] = {}
        tables = document.tables.get(group)
        for name in tables if isinstance(tables, dict) else ():
            first = seen.setdefault(form_of_name(name), name)
            if first != name:
                what = f'"{first}" and "{name}" are the same name in a RELAY__ variable ({form_of_name(name)})'
                yield Fault((group, name), f"{what}; rename one of the two")


def _path_of(variable: str, document: Document) -> KeyPath | None:
    """The key that a variable means; None where there is no such key."""
    rest = variable.removeprefix(PREFIX)
    for key in GeneralSettings.model_fields:
        if rest == key.upper():
            return (key,)
    group, _, rest = rest.partition("__")
    table = group.lower()
    if group != group.upper():
        return None
    if table in SINGLE:
        return next(((table, key) for key in keys_of(SINGLE[table]) if key.upper() == rest), None)
    if table not in NAMED:
        return None
    for key in keys_in(table):
        form = rest.removesuffix(f"__{key.upper()}")
        if form and form != rest and form == form_of_name(form):
            existing = document.tables.get(table)
            names = existing if isinstance(existing, dict) else {}
            return (table, next((name for name in names if form_of_name(name) == form), form.lower()), key)
    return None


def _unknown(variable: str) -> str:
    """Which part of the variable's name is at fault, and the nearest name that exists."""
    group, _, rest = variable.removeprefix(PREFIX).partition("__")
    known = nearest(group, TOP)
    if known is None:
        return f"no setting has this name; start it with one of {', '.join(PREFIX + name.upper() for name in TOP)}"
    if known in GeneralSettings.model_fields:
        return f"no setting has this name; the nearest is {PREFIX}{known.upper()}"
    name, _, key = rest.rpartition("__")
    near = nearest(key, keys_in(known))
    if known in NAMED and not name:
        return f"names no table or no key; write it like {PREFIX}{known.upper()}__NAME__KEY"
    middle = f"{name}__" if known in NAMED else ""
    if near is None:
        keys = ", ".join(name.upper() for name in keys_in(known))
        return f"no setting has this name; the keys after {PREFIX}{known.upper()}__{middle} are {keys}"
    return f"no setting has this name; the nearest is {PREFIX}{known.upper()}__{middle}{near.upper()}"


def _table_for(document: Document, path: KeyPath, variable: str) -> dict[str, Any] | None:
    table = document.tables
    for depth, part in enumerate(path[:-1], 1):
        if str(part) not in table:
            document.variables[path[:depth]] = variable
        inner = table.setdefault(str(part), {})
        if not isinstance(inner, dict):
            return None
        table = inner
    return table


def _value(variable: str, text: str, path: KeyPath) -> object:
    key = str(path[-1])
    fields = keys_of(GeneralSettings) if len(path) == 1 else keys_in(str(path[0]))
    form = form_of(fields[key])
    if form is Form.PATH_OR_SECRET:
        form = Form.SECRET if "-----BEGIN" in text else Form.TEXT
    if form is Form.TEXT_OR_VALUE:
        form = Form.VALUE if text.lstrip().startswith(("[", "{")) else Form.TEXT
    if form is Form.SECRET:
        return {"env": variable}
    if form is Form.TEXT:
        return text
    try:
        return tomllib.loads(f"value = {text}\n")["value"]
    except (ValueError, RecursionError):
        raise ValueError(f'not a value of TOML; write it as it would stand after "{key} =" in relay.toml') from None

"""relay.toml from the answers: a new one with comments, or the present one with what has changed. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from relay.cli.setup.answers import Answers
from relay.cli.setup.plain_name import plain_name
from relay.cli.setup.present import Present, upstreams_in
from relay.cli.setup.questions import questions
from relay.cli.setup.toml_edit import Edit
from relay.config.microsoft365_settings import CREDENTIAL_KEYS
from relay.config.settings import UPSTREAM_TYPES

_HEADER: Final = """\
# Relay's configuration, made by `relay setup` on {day:%Y-%m-%d}. Change it by hand as you like: `relay check` says what
# is wrong with it, and `relay setup` starts from what stands here. No secret stands here. Every key: docs/settings.md.
"""

_GMAIL_KEYS: Final = {
    "app_password": ("app_password", "username"),
    "service_account": ("service_account", "mailbox"),
    "sign_in": ("client_id", "client_secret", "username"),
}


@dataclass(frozen=True, slots=True)
class Draft:
    """The file to be, and under which name each new secret is to be sealed."""

    text: str
    sealed: Mapping[str, str]


def draft_of(
    text: str | None, present: Present, answers: Answers, more: Mapping[str, Any], day: datetime.date
) -> Draft:
    """Return the file with these answers. `text`: the present one, None where there is none.

    `more`: keys of the upstream that were not asked for. Raises ValueError where a table is written in a way that can't
    be added to.
    """
    edit = Edit(text if text is not None else _HEADER.format(day=day))
    sealed = _names_of_secrets(present, answers)
    _general(edit, answers)
    _upstream(edit, answers, more, sealed)
    _client(edit, present, answers, sealed)
    _listeners(edit, present, answers)
    if "alerts_to" in answers.texts or "alerts_to" in answers.removed:
        edit.table(("alerts",), "Who is told when something is wrong, once a cause.", _asked(answers, {}, "alerts"))
    return Draft(edit.text(), sealed)


def _names_of_secrets(present: Present, answers: Answers) -> dict[str, str]:
    """Return each new secret's name in the sealed store: the one that it has, else the table's."""
    found: dict[str, str] = {}
    for question in questions():
        if question.key not in answers.secrets:
            continue
        of_client = question.of == "client"
        table = present.client(answers["client"]) if of_client else present.upstream(answers["upstream"])
        place = table.get(question.setting)
        name = place.get("sealed") if isinstance(place, dict) else None
        own = plain_name(answers["client" if of_client else "upstream"])
        taken = own in found.values() or (of_client and own == plain_name(answers["upstream"]))
        found[question.key] = str(name) if name else f"{own}-password" if taken else own
    return found


def _asked(answers: Answers, sealed: Mapping[str, str], *tables: str) -> dict[str, Any]:
    """Return the keys that questions of these tables gave, in their order; None for those that are to be gone."""
    found: dict[str, Any] = {}
    for question in questions():
        if question.of not in tables or question.last or question.key in {"listen", "security"}:
            continue
        if question.key in sealed:
            found[question.setting] = {"sealed": sealed[question.key]}
        elif question.key in answers.texts:
            found[question.setting] = question.value_of(answers[question.key])
        elif question.key in answers.removed and not question.quiet:
            found.setdefault(question.setting, None)
    return found


def _general(edit: Edit, answers: Answers) -> None:
    edit.top(_asked(answers, {}, "general"))


def _upstream(edit: Edit, answers: Answers, more: Mapping[str, Any], sealed: Mapping[str, str]) -> None:
    provider = answers["provider"]
    kind = "microsoft365" if provider == "simulator" else provider
    keys: dict[str, Any] = {"type": kind, **_asked_of_upstream(answers, sealed), **more}
    if provider == "simulator":
        keys["client_secret"] = {"sealed": sealed["client_secret"]}
    if kind == "microsoft365":
        unfit = [key for word, own in CREDENTIAL_KEYS.items() if word != answers["credential"] for key in own]
        keys = dict.fromkeys((key for key in unfit if provider != "simulator"), None) | keys
    if kind == "gmail":
        own = _GMAIL_KEYS[answers["gmail_credential"]]
        keys = dict.fromkeys((key for group in _GMAIL_KEYS.values() for key in group if key not in own), None) | keys
    edit.table(("upstream", answers["upstream"]), _of_provider(provider), keys, UPSTREAM_TYPES[kind])


def _asked_of_upstream(answers: Answers, sealed: Mapping[str, str]) -> dict[str, Any]:
    found = {} if answers["provider"] == "simulator" else _asked(answers, sealed, *UPSTREAM_TYPES)
    if "gmail_username" in answers.texts:
        found["username"] = found.pop("mailbox")
    if "gmail_credential" in answers.texts:
        found.pop("credential", None)
    return found


def _of_provider(provider: str) -> str:
    meaning = next(question for question in questions() if question.key == "provider").choices[provider]
    return f"{meaning[:1].upper()}{meaning[1:]}."


def _client(edit: Edit, present: Present, answers: Answers, sealed: Mapping[str, str]) -> None:
    from relay.config.client_settings import ClientSettings

    keys = _asked(answers, sealed, "client")
    before = present.client(answers["client"])
    if answers["access"] == "network":
        keys |= {"username": None, "password": None}
    elif "username" not in before:
        keys |= {"networks": None}
    if answers["upstream"] not in upstreams_in(before):
        keys["upstream"] = answers["upstream"]
    edit.table(("client", answers["client"]), "The application.", keys, ClientSettings)


def _listeners(edit: Edit, present: Present, answers: Answers) -> None:
    from relay.config.listener_settings import ListenerSettings

    by_address = {str(table.get("address")): name for name, table in present.listeners.items()}
    names = list(present.listeners)
    addresses = [address.strip() for address in answers["listen"].split(",") if address.strip()]
    for number, address in enumerate(addresses):
        name = by_address.get(address)
        if name is not None and number > 0:
            continue
        if name is None and len(names) == len(addresses) == 1:
            name = names[0]
        if name is None:
            name = _new_name(address, names)
            names.append(name)
        security = answers["security"]
        if number > 0:
            security = "implicit" if address.endswith(":465") and security != "none" else security
        keys = {"address": address, "security": security}
        edit.table(("listener", name), "Where applications connect.", keys, ListenerSettings)


def _new_name(address: str, taken: list[str]) -> str:
    port = address.rpartition(":")[2]
    wanted = {"465": "smtps", "25": "smtp"}.get(port, "submission")
    return wanted if wanted not in taken else f"{wanted}-{port}" if f"{wanted}-{port}" not in taken else f"at-{address}"

"""The rights that one application needs in one tenant, and the PowerShell that gives it these and no others. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from relay.cli.setup.powershell import Line, filter_text, quoted, script_text, statement_of
from relay.diagnosis.names import Names

_ENVIRONMENTS: Final = {
    "public": ("", ""),
    "us-gov-high": ("-ExchangeEnvironmentName O365USGovGCCHigh", "-Environment USGov"),
    "us-gov-dod": ("-ExchangeEnvironmentName O365USGovDoD", "-Environment USGovDoD"),
    "china": ("-ExchangeEnvironmentName O365China", "-Environment China"),
}
"""How Connect-ExchangeOnline and Connect-MgGraph call the national clouds (their reference on learn.microsoft.com)."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who is to send as which mailbox. `senders`: the further From addresses. `object_id` is empty where unknown."""

    upstream: str
    tenant: str
    client_id: str
    mailbox: str
    senders: tuple[str, ...] = ()
    object_id: str = ""
    credential: str = "client_secret"
    cloud: str = "public"
    via: Literal["smtp", "graph"] = "smtp"
    classic: bool = False

    @property
    def holds(self) -> frozenset[str]:
        """The conditions of microsoft365.toml that hold."""
        found = {self.credential, self.via, "classic" if self.classic else "rbac"}
        if self.credential != "device_code":
            found |= {"application", "given" if self.object_id else "looked_up"}
        return frozenset(found | ({"senders"} if self.senders else set()))

    @property
    def names(self) -> Names:
        """What stands for the placeholders of a text."""
        return {
            "upstream": self.upstream,
            "tenant": self.tenant,
            "client_id": self.client_id,
            "mailbox": self.mailbox,
            "object_id": self.object_id,
        }


def script_for(access: Access, texts: dict[str, Any]) -> str:
    """Return the script. Raises ValueError where a name can't be written down."""
    title = texts["texts"]["title_device_code" if access.credential == "device_code" else "title"]
    return script_text([statement_of(title, access.names)], lines_for(access, texts))


def lines_for(access: Access, texts: dict[str, Any]) -> Iterator[Line]:
    """Yield the statements in order, each with its reason."""
    literals = _literals(access, texts["texts"])
    for entry in texts["line"]:
        if not access.holds >= set(entry.get("when", ())):
            continue
        for sender in access.senders if entry.get("each") == "sender" else ("",):
            why = statement_of(entry["why"], {**access.names, "sender": sender})
            yield Line(why, statement_of(entry["run"], literals | {"sender": quoted(sender)}))


def _literals(access: Access, texts: dict[str, str]) -> dict[str, str]:
    exchange, graph = _ENVIRONMENTS[access.cloud]
    # Names that belong to the application: another one's group or scope of this tenant is never touched.
    own = f"Relay {access.client_id[:8]}"
    return {
        "tenant": quoted(access.tenant),
        "client_id": quoted(access.client_id),
        "mailbox": quoted(access.mailbox),
        "object_id": quoted(access.object_id),
        "application_filter": quoted(f"appId eq {filter_text(access.client_id)}"),
        "display_name": quoted(own),
        "group": quoted(f"{own} mailboxes"),
        "scope": quoted(f"{own} scope"),
        "smtp_assignment": quoted(f"{own} SMTP.SendAsApp"),
        "graph_assignment": quoted(f"{own} Mail.Send"),
        "draft_assignment": quoted(f"{own} Mail.ReadWrite"),
        "no_application": quoted(statement_of(texts["no_application"], access.names)),
        "wrong_object": quoted(statement_of(texts["wrong_object"], access.names)),
        "exchange_environment": exchange,
        "graph_environment": graph,
    }

"""What a platform tells a process of its identity by variables: defaults of an upstream with a federated credential.

Azure's workload identity webhook sets AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID and AZURE_TENANT_ID in a pod
(https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html); EKS sets
AWS_WEB_IDENTITY_TOKEN_FILE, whose token Entra takes where the federated credential names its issuer and audience.
"""

from collections.abc import Mapping
from typing import Any, Final

from relay.config.document import Document

_TOKEN_FILES: Final = ("AZURE_FEDERATED_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
_IDENTITY: Final = {"client_id": "AZURE_CLIENT_ID", "tenant": "AZURE_TENANT_ID"}


def apply_workload_identity(document: Document, environ: Mapping[str, str]) -> None:
    """Puts what the variables say where a table leaves it out; what stands in the file wins."""
    upstreams = document.tables.get("upstream")
    for name, table in upstreams.items() if isinstance(upstreams, dict) else ():
        if isinstance(table, dict) and table.get("type") == "microsoft365" and table.get("credential") == "federated":
            _apply(document, name, table, environ)


def _apply(document: Document, name: str, table: dict[str, Any], environ: Mapping[str, str]) -> None:
    if "assertion" not in table:
        variable = next((each for each in _TOKEN_FILES if environ.get(each)), None)
        if variable is not None:
            table["assertion"] = {"file": environ[variable]}
            document.variables["upstream", name, "assertion"] = variable
    for key, variable in _IDENTITY.items():
        # Where the authority stands, the tenant is part of it.
        if key not in table and environ.get(variable) and not (key == "tenant" and "authority" in table):
            table[key] = environ[variable]
            document.variables["upstream", name, key] = variable

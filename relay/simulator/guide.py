"""What to type to point a relay at a simulator, and to make it fail."""

from __future__ import annotations

import shlex

from relay.simulator.relay_toml import environment, relay_toml
from relay.simulator.simulator import Simulator


def guide(simulator: Simulator) -> str:
    """Return lines for a person: where everything listens, a relay.toml's tables, the variables, the controls."""
    host = simulator.host
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment(simulator).items())
    lines = [
        f"Microsoft 365 at {host}:{simulator.microsoft365.port} (STARTTLS), mailbox {simulator.mailbox}",
        f"Entra at {simulator.authority_url}",
        f'Microsoft Graph at {simulator.graph.origin}, for via = "graph" with port = {simulator.authority.port}',
        f"An Azure machine's identity at {simulator.entra.origin}, for AZURE_POD_IDENTITY_AUTHORITY_HOST",
        f"Google's tokens at {simulator.google.url}",
        f"Gmail at {host}:{simulator.gmail.port} (STARTTLS) and {host}:{simulator.gmail.implicit_port} (TLS)",
        f"Amazon SES at {host}:{simulator.ses.port} (STARTTLS) and {host}:{simulator.ses.implicit_port} (TLS)",
        f"Amazon SES's API at {simulator.aws_url}, a machine's role at {simulator.aws_metadata_url}",
        f"All certificates are signed by {simulator.ca_file}",
        "",
        "For a relay.toml:",
        "",
        relay_toml(simulator),
        "and before `relay serve`:",
        "",
        exports,
    ]
    if simulator.control_url:
        url = simulator.control_url
        lines += [
            "",
            "To make it fail, and to see what has come:",
            "",
            f"curl {url}/",
            f"""curl -d '{{"name": "smtp_auth_disabled_tenant"}}' {url}/faults""",
            f"curl -X DELETE {url}/faults",
            f"curl {url}/messages",
        ]
    return "\n".join(lines)

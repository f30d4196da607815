"""A mailbox at the simulated Graph."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from relay.config.load import load
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.envelope import WholeContent
from relay.simulator.relay_toml import environment, relay_toml
from relay.simulator.simulator import Simulator
from relay.upstream.construction import upstream_of
from relay.upstream.contract import Conversation, Phase
from relay.upstream.graph import Graph
from tests.upstream.graph_mail import leaves
from tests.upstream.offering import Cleared, envelope


@dataclass
class Mailbox:
    """A mailbox at the simulated Graph, and the upstream that sends by it."""

    simulator: Simulator
    upstream: Graph

    async def sent(
        self, message: EmailMessage | bytes, *recipients: str, cleared: Cleared | None = None
    ) -> Conversation:
        content = WholeContent(message if isinstance(message, bytes) else bytes(message))
        return await self.upstream.send(envelope(*(recipients or ("a@b.test",))), content, cleared or Cleared())

    async def arrived(self, message: EmailMessage | bytes, *recipients: str) -> bytes:
        """Send, and return what the recipients got."""
        conversation = await self.sent(message, *recipients)
        assert conversation.phase is Phase.DONE, conversation
        assert conversation.reply is not None
        assert str(conversation.reply).startswith("250 2.0.0 Accepted"), conversation
        assert all(said is not None and said.positive for said in conversation.recipients)
        return self.simulator.messages[-1].content

    async def carries(self, message: EmailMessage) -> None:
        """Send, and see that every part arrives."""
        whole = bytes(message)
        assert leaves(await self.arrived(whole)) == leaves(whole)

    def requests(self) -> list[tuple[str, int]]:
        return [(request.endpoint, request.status) for request in self.simulator.graph.requests]


def upstream_to(simulator: Simulator, folder: Path, more: str = "") -> Graph:
    path = folder / "relay.toml"
    text = f'state_dir = "{folder}/state"\nhostname = "relay.clinic.test"\n'
    path.write_text(text + relay_toml(simulator, "microsoft365", graph=True, more=more))
    environ = environment(simulator)
    loaded = load(path, environ)
    assert loaded.settings is not None, loaded.problems
    secrets = Secrets(environ, SealedStore(loaded.settings.state_dir, environ))
    made = upstream_of("office365", loaded.settings, secrets)
    assert isinstance(made, Graph)
    return made

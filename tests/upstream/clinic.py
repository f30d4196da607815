"""A clinic's configuration for the simulator, and messages sent by it through upstreams made from it."""

from __future__ import annotations

from pathlib import Path

from relay.config.load import load
from relay.config.seal import SealedStore
from relay.config.secrets import Secrets
from relay.config.settings import Settings
from relay.envelope import WholeContent
from relay.simulator.relay_toml import environment, relay_toml
from relay.simulator.simulator import Simulator
from relay.upstream.construction import upstream_of
from relay.upstream.contract import Conversation
from relay.upstream.smarthost import Smarthost
from tests.upstream.offering import Cleared, envelope


class Clinic:
    """A configuration for the simulator; `restarted` upstreams know only what is on disk."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.folder = folder
        self.simulator = simulator
        self.environ = environment(simulator)
        self.replaced: dict[str, str] = {}
        self.more = ""

    @property
    def settings(self) -> Settings:
        text = f'state_dir = "{self.folder}/state"\nhostname = "relay.clinic.test"\n'
        text += relay_toml(self.simulator, more=self.more)
        for old, new in self.replaced.items():
            assert old in text
            text = text.replace(old, new)
        path = self.folder / "relay.toml"
        path.write_text(text)
        loaded = load(path, self.environ)
        assert loaded.settings is not None, loaded.problems
        return loaded.settings

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.environ, SealedStore(self.settings.state_dir, self.environ))

    def upstream(self, name: str = "office365") -> Smarthost:
        made = upstream_of(name, self.settings, self.secrets)
        assert isinstance(made, Smarthost)
        return made

    def with_credential(self, keys: str) -> None:
        """Let Microsoft 365 be logged in to by these lines in place of the client secret."""
        self.replaced['credential = "client_secret"'] = keys
        self.replaced['client_secret = { env = "SIMULATOR_CLIENT_SECRET" }'] = ""

    async def sent(self, upstream: Smarthost) -> Conversation:
        senders = {"gmail": self.simulator.gmail_user}
        sender = senders.get(upstream.name, "no-reply@clinic.test")
        text = f"From: <{sender}>\r\nTo: <a@b.test>\r\nSubject: x\r\nMessage-ID: <1@clinic.test>\r\n"
        text += "Date: Mon, 02 Mar 2026 09:30:00 +1100\r\n\r\nHello\r\n"
        return await upstream.send(envelope(sender=sender), WholeContent(text.encode()), Cleared())

    async def sent_once(self, name: str = "office365") -> Conversation:
        upstream = self.upstream(name)
        try:
            return await self.sent(upstream)
        finally:
            await upstream.aclose()

"""HTTPS to a token endpoint through a proxy: urllib3's connections, made by our own tunnel. Imported when needed."""

from __future__ import annotations

import asyncio
import socket

from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection

from relay.upstream.contract import Phase
from relay.upstream.proxy import Proxy
from relay.upstream.tunnel import reached_through


def pool_through(proxy: Proxy) -> type[HTTPSConnectionPool]:
    """Return a class of connection pools that reach every host by the proxy.

    What fails on the way there is raised as ConversationEnded, through urllib3, requests and msal.
    """

    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            seconds = float(self.timeout) if isinstance(self.timeout, int | float) else 0.0
            # Whoever asks for a token does so in a thread of its own, where no loop runs.
            made = asyncio.run(reached_through(proxy, self.host, self.port, seconds, Phase.TOKEN))
            made.settimeout(seconds)
            return made

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool

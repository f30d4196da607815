"""HTTPS through a proxy, to whoever gives tokens: urllib3's connections, made by our tunnel. Imported when needed."""

from __future__ import annotations

import asyncio
import socket

from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection

from relay.upstream.contract import Phase
from relay.upstream.proxy import Proxy
from relay.upstream.tunnel import reached_through


def pool_through(proxy: Proxy, phase: Phase, seconds: float) -> type[HTTPSConnectionPool]:
    """Return a class of connection pools that reach every host by the proxy.

    `seconds` for the way where the request names none. What fails on it is raised as ConversationEnded in `phase`,
    through urllib3, requests, msal and boto3.
    """

    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            patience = float(self.timeout) if isinstance(self.timeout, int | float) else seconds
            # Whoever asks does so in a thread of its own, where no loop runs.
            made = asyncio.run(reached_through(proxy, self.host, self.port, patience, phase))
            made.settimeout(patience)
            return made

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool

"""The Graph endpoint tried step by step; nothing is sent, for a message without recipients can't be."""

from __future__ import annotations

from typing import Final

from relay.upstream.examination import Examination, addresses_at, protection_of
from relay.upstream.failures import ConversationEnded
from relay.upstream.graph_answers import reply_of
from relay.upstream.graph_service import Ask, GraphService
from relay.upstream.http_protocol import HttpAnswer

NOTHING: Final = Ask.json(
    "POST", "/sendMail", {"message": {"subject": "", "toRecipients": []}, "saveToSentItems": False}
)
"""A message to nobody: Graph has to find permission and mailbox before it can say that there is no recipient."""


def welcome(answer: HttpAnswer) -> bool:
    """Tell whether the answer to `NOTHING` shows that a message to somebody would be taken."""
    return answer.status == 400


async def examined(service: GraphService) -> Examination:
    """Return how far it came, with a new token."""
    found = Examination()
    credential = await found.credential_from(service.source)
    try:
        found.addresses = await addresses_at(service.route)
        async with service.channel() as channel:
            connection = channel.connection
            found.peer, found.protection = connection.peer, protection_of(connection.protocol.tls)
            found.secured = found.protection is not None
            if credential is None:
                return found
            found.mechanism = "Bearer"
            answer = await channel.ask(NOTHING)
            if not welcome(answer):
                raise ConversationEnded(*reply_of(answer, service.host))
            found.logged_in = True
    except ConversationEnded as end:
        found.ended = end
    return found

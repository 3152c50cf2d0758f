"""Stores the words that messages can be found by."""

from collections.abc import Mapping, Sequence

from mesh.clock import now_ms
from parley.common.v1.message_pb2 import Message, MessageType
from persist_service.domain.terms import terms_of
from persist_service.metrics import INDEX_LAG_SECONDS
from persist_service.ports import Terms


class IndexMessages:
    """Only text has words; the content of an image or a file is an address."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    async def __call__(self, messages: Sequence[Message]) -> Mapping[int, str]:
        """Nothing is ever rejected here. Raises ``Unavailable``."""
        texts = (message for message in messages if message.type == MessageType.MESSAGE_TYPE_TEXT)
        found = [(message, terms_of(message.content)) for message in texts]
        if found:
            await self._terms.insert(found)
            now = now_ms()
            for message, _ in found:
                INDEX_LAG_SECONDS.observe(max(0, now - message.created_at_ms) / 1000)
        return {}

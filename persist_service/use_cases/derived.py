"""What is derived from stored messages: search terms and counts. All of it may be repeated."""

from collections.abc import Mapping, Sequence

from mesh.clock import now_ms
from parley.common.v1.message_pb2 import Message, MessageType
from persist_service.domain.statistics import Fact
from persist_service.domain.terms import terms_of
from persist_service.metrics import INDEX_LAG_SECONDS
from persist_service.stores.all_stores import Stores


async def index_messages(stores: Stores, messages: Sequence[Message]) -> Mapping[int, str]:
    """Stores the words that messages can be found by; nothing is ever rejected here.

    Only text has words; the content of an image or a file is an address.
    """
    texts = (message for message in messages if message.type == MessageType.MESSAGE_TYPE_TEXT)
    found = [(message, terms_of(message.content)) for message in texts]
    if found:
        await stores.terms.insert(found)
        now = now_ms()
        for message, _ in found:
            INDEX_LAG_SECONDS.observe(max(0, now - message.created_at_ms) / 1000)
    return {}


async def count_messages(stores: Stores, facts: Sequence[Fact]) -> Mapping[int, str]:
    """Counts each message once per chat and day; nothing is ever rejected here."""
    await stores.statistics.count(facts)
    return {}

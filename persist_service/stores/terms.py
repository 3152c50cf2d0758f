"""Collection ``terms``: the search terms of a message under the message's own id."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo.errors import BulkWriteError

from mesh.mongo import Mongo
from parley.common.v1.message_pb2 import Message
from persist_service.stores.bulk import duplicates


class Terms:
    """Search terms."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._terms = mongo.collection("terms")

    async def insert(self, terms: Sequence[tuple[Message, tuple[str, ...]]]) -> None:
        """Stores the terms of messages. Idempotent by message id. A duplicate ``_id`` is a repeat."""
        documents = [
            {
                "_id": ObjectId(message.id),
                "chatId": ObjectId(message.chat_id),
                "seq": message.seq,
                "terms": list(words),
            }
            for message, words in terms
        ]
        with self._mongo.guard():
            try:
                await self._terms.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                duplicates(error)

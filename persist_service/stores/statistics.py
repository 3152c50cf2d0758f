"""Collection ``statistics``: counted messages per chat, UTC day and run of positions.

A document is ``{chatId, day, block, seqs, messages}``; a day's count is the sum of ``messages`` over its
blocks. Counting must be exact though deliveries repeat, and a counter with ``$inc`` cannot tell a repeat. So
the document keeps the positions it has counted, and one atomic update joins the new ones in and counts the
set: repeats, reordering and crashes at any point give the same. A block covers 1,024 positions, which bounds
the document.
"""

from collections.abc import Sequence

from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from mesh.mongo import Mongo
from persist_service.domain.statistics import Block, Fact, blocks
from persist_service.stores.bulk import duplicates


class Statistics:
    """Counts per chat and day."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._statistics = mongo.collection("statistics")

    async def count(self, facts: Sequence[Fact]) -> None:
        """Counts each ``(chat_id, seq)`` once, however often it comes."""
        writes = [_join(block, seqs) for block, seqs in blocks(facts).items()]
        with self._mongo.guard():
            try:
                await self._statistics.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                # Another process made the same block in this moment: now it is there to be joined into.
                again = [writes[place] for place in duplicates(error)]
                await self._statistics.bulk_write(again, ordered=False)


def _join(block: Block, seqs: set[int]) -> UpdateOne:
    joined = {"$setUnion": [{"$ifNull": ["$seqs", []]}, sorted(seqs)]}
    return UpdateOne(
        {"chatId": ObjectId(block.chat_id), "day": DatetimeMS(block.day_ms), "block": block.number},
        [{"$set": {"seqs": joined}}, {"$set": {"messages": {"$size": "$seqs"}}}],
        upsert=True,
    )

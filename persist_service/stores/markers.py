"""Collection ``markers``: those that were taken out of the queue, until who sent them has seen it."""

from collections.abc import Sequence

from pymongo import UpdateOne

from mesh.mongo import Mongo


class Markers:
    """Markers that came out of a queue."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._markers = mongo.collection("markers")

    async def put(self, markers: Sequence[str]) -> None:
        """Tells that they did."""
        with self._mongo.guard():
            await self._markers.bulk_write(
                [UpdateOne({"_id": marker}, {"$set": {"taken": True}}, upsert=True) for marker in markers],
                ordered=False,
            )

    async def take(self, marker: str) -> bool:
        """Whether it came out of the queue; then it is forgotten."""
        with self._mongo.guard():
            result = await self._markers.delete_one({"_id": marker})
        return result.deleted_count > 0

from pymongo.read_preferences import ReadPreference

from notify_service.adapters.mongo.database import open_mongo

_CARELESS = "mongodb://127.0.0.1:1/?w=1&journal=false&readPreference=secondary"


async def test_no_url_makes_writes_less_durable_or_reads_older() -> None:
    async with open_mongo(_CARELESS) as mongo:
        deliveries = mongo.collection("deliveries")
        assert deliveries.write_concern.document == {"w": "majority", "j": True}
        assert deliveries.read_preference == ReadPreference.PRIMARY


async def test_operations_end_within_the_time_of_the_settings() -> None:
    async with open_mongo(_CARELESS, operation_seconds=7.5) as mongo:
        assert mongo.collection("deliveries").delegate.database.client.options.timeout == 7.5

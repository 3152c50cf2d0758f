from pydantic import SecretStr
from pymongo.read_preferences import ReadPreference

from persist_service.stores.server import open_mongo

_CARELESS = SecretStr("mongodb://127.0.0.1:1/?w=1&journal=false&readPreference=secondary")


async def test_no_url_makes_writes_less_durable_or_reads_older() -> None:
    async with open_mongo(_CARELESS, "parley") as mongo:
        messages = mongo.collection("messages")
        assert messages.write_concern.document == {"w": "majority", "j": True}
        assert messages.read_preference == ReadPreference.PRIMARY

"""All stores of one database."""

from dataclasses import dataclass
from typing import Self

from mesh.mongo import Mongo
from notify_service.adapters.mongo.active_users import MongoActiveUserStore
from notify_service.adapters.mongo.deliveries import MongoDeliveries
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.digests import MongoDigestStore
from notify_service.adapters.mongo.inbox import MongoInboxes
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.adapters.mongo.subscriptions import MongoSubscriptionStore
from notify_service.inbox.inbox import Rhythm


@dataclass(frozen=True, slots=True)
class Stores:
    """What notify_service keeps; the keys it made are apart."""

    devices: MongoDeviceStore
    preferences: MongoPreferenceStore
    inboxes: MongoInboxes
    deliveries: MongoDeliveries
    ledger: MongoLedger
    digests: MongoDigestStore
    subscriptions: MongoSubscriptionStore
    active_users: MongoActiveUserStore

    @classmethod
    def of(cls, mongo: Mongo, rhythm: Rhythm, *, digest_after_seconds: float) -> Self:
        """Asks nothing yet."""
        return cls(
            MongoDeviceStore(mongo),
            MongoPreferenceStore(mongo),
            MongoInboxes(mongo, rhythm),
            MongoDeliveries(mongo),
            MongoLedger(mongo),
            MongoDigestStore(mongo, after_seconds=digest_after_seconds),
            MongoSubscriptionStore(mongo),
            MongoActiveUserStore(mongo),
        )

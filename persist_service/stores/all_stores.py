"""All stores together, which is what the use cases work with."""

from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from mesh.mongo import Mongo
from persist_service.stores.changes import Changes
from persist_service.stores.chat_lists import ChatLists
from persist_service.stores.chats import Chats
from persist_service.stores.markers import Markers
from persist_service.stores.memberships import Memberships
from persist_service.stores.messages import Messages
from persist_service.stores.presence import Presence
from persist_service.stores.statistics import Statistics
from persist_service.stores.terms import Terms
from persist_service.stores.users import Users


@dataclass(frozen=True, slots=True)
class Stores:
    """The collections of MongoDB, and of Redis the cache of chat lists and who is online."""

    users: Users
    chats: Chats
    memberships: Memberships
    messages: Messages
    changes: Changes
    markers: Markers
    terms: Terms
    statistics: Statistics
    chat_lists: ChatLists
    presence: Presence

    @classmethod
    def on(cls, mongo: Mongo, redis: Redis) -> Self:
        """The stores on these servers."""
        return cls(
            users=Users(mongo),
            chats=Chats(mongo),
            memberships=Memberships(mongo),
            messages=Messages(mongo),
            changes=Changes(mongo),
            markers=Markers(mongo),
            terms=Terms(mongo),
            statistics=Statistics(mongo),
            chat_lists=ChatLists(redis),
            presence=Presence(redis),
        )

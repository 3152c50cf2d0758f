"""Who is online, as chat_service keeps it in Redis: ``user:{<userId>}:online``."""

from collections.abc import Collection
from itertools import islice
from typing import Final

from redis.asyncio import Redis

from mesh.clock import now_ms
from mesh.errors import Unavailable
from mesh.numbers import parse_number
from mesh.outage import Outage
from mesh.redis import redis_errors
from mesh.redis_cluster.slots import hash_tag
from persist_service.domain.notifications import Activity

_PAGE: Final = 500
# A value below is no time: until this release the key held a mere "1".
_FIRST_MS: Final = 1_000_000_000_000
_PARTIAL: Final = b"p"  # written by chat_service's open_session.lua


class Presence:
    """Who is online."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._outage = Outage("presence.unknown", "presence.known")

    async def last_active(self, user_ids: Collection[str]) -> dict[str, Activity]:
        """What the live connections of each user last did; who has none is left out.

        One round trip per 500 users. Never raises: without Redis nobody is known to be online.
        A notification too many is better than one that never comes.
        """
        active: dict[str, Activity] = {}
        try:
            await self._look_up(user_ids, active)
        except Unavailable as error:
            self._outage.failed(users=len(user_ids), error=error.message)
        else:
            self._outage.worked()
        return active

    async def known_activity(self, user_ids: Collection[str]) -> dict[str, Activity]:
        """As ``last_active``, for who can wait for the answer: raises ``Unavailable`` without Redis."""
        active: dict[str, Activity] = {}
        await self._look_up(user_ids, active)
        return active

    async def _look_up(self, user_ids: Collection[str], active: dict[str, Activity]) -> None:
        users = iter(user_ids)
        while page := list(islice(users, _PAGE)):
            # Single keys, since those of different users may be on different servers.
            with redis_errors():
                async with self._redis.pipeline(transaction=False) as pipe:
                    for user_id in page:
                        pipe.get(f"user:{{{hash_tag(user_id)}}}:online")
                    values: list[bytes | None] = await pipe.execute()
            active.update(
                (user_id, _activity(value))
                for user_id, value in zip(page, values, strict=True)
                if value is not None
            )


def _activity(value: bytes) -> Activity:
    at_ms = parse_number(value.removesuffix(_PARTIAL).decode(errors="replace"))
    # There is a connection, and nobody knows what it does: it counts as active, as it used to.
    known = at_ms is not None and at_ms >= _FIRST_MS
    return Activity(at_ms if known and at_ms else now_ms(), partial=value.endswith(_PARTIAL))

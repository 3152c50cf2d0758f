"""The cache of chat lists in Redis: ``user:{<userId>}:chats``, the encoded answer, for 300 s.

A list that was read before a change must not be cached after it. So who misses leaves a lease in the key, and
only a list whose lease is still there is stored; a drop removes the lease as well (Nishtala et al., "Scaling
Memcache at Facebook", 2013, section 3.2.1). Without Redis there is no cache and nothing fails.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from redis.asyncio import Redis

from mesh.errors import Unavailable
from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.outage import Outage
from mesh.redis import redis_errors

_SECONDS: Final = 300
_LEASE_SECONDS: Final = 10
# No protobuf message begins with a zero byte: field number 0 does not exist.
_LEASE_MARK: Final = b"\x00"
_PAGE: Final = 500
_STORE_IF_LEASED: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
"""
_log = get_logger()


class ChatLists:
    """Encoded answers by user."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._outage = Outage("chat_lists.not_dropped", "chat_lists.dropped")
        self._store = redis.register_script(_STORE_IF_LEASED)

    async def read(self, user_id: str) -> tuple[bytes | None, bytes | None]:
        """An answer with None, or None with a lease to store one, or None twice. Never raises for Redis."""
        lease = _LEASE_MARK + new_object_id().encode()
        try:
            with redis_errors():
                found = await self._redis.set(_key(user_id), lease, nx=True, get=True, ex=_LEASE_SECONDS)
        except Unavailable as error:
            _log.debug("chat_lists.no_cache", error=error.message)
            return None, None
        if found is None:
            return None, lease
        if not isinstance(found, bytes):
            raise TypeError("the client must not decode answers")
        return (None, None) if found.startswith(_LEASE_MARK) else (found, None)

    async def store(self, user_id: str, lease: bytes, answer: bytes) -> None:
        """Stores the answer unless the list was dropped since ``lease`` was given. Never raises for Redis."""
        try:
            with redis_errors():
                await self._store(keys=[_key(user_id)], args=[lease, answer, _SECONDS])
        except Unavailable as error:
            _log.debug("chat_lists.no_cache", error=error.message)

    async def drop(self, user_ids: Iterable[str]) -> None:
        """Forgets the lists of these users. Never raises: without Redis a list may be 300 s old."""
        users = iter(set(user_ids))
        try:
            while page := list(islice(users, _PAGE)):
                with redis_errors():
                    async with self._redis.pipeline(transaction=False) as pipe:
                        for user_id in page:
                            pipe.unlink(_key(user_id))
                        await pipe.execute()
        except Unavailable as error:
            self._outage.failed(error=error.message)
        else:
            self._outage.worked()


def _key(user_id: str) -> str:
    return f"user:{{{user_id}}}:chats"

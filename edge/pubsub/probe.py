"""Finds out when the Redis subscription has fallen silent without having broken.

A connection may stand and carry nothing: its peer hangs, a firewall forgot it, or it leads to a server that
is the primary no more. So the edge says something to itself, by the way that chat_service takes, every now
and then, and replaces the subscription when it does not hear it.
"""

import asyncio
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from edge import metrics
from edge.pubsub.channels import Channels
from edge.pubsub.subscriber import Subscriber
from mesh.errors import ParleyError
from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.outage import Outage

_PATIENCE_SECONDS: Final = 3.0
_AGAIN_SECONDS: Final = 0.1

_log = get_logger()


class Probe:
    """Publishes to a channel of this edge alone, every `every_seconds`; `redis` has a connection for it."""

    def __init__(self, channels: Channels, redis: Redis, *, every_seconds: float) -> None:
        self.channel: Final = b"edge:{%b}:probe" % new_object_id().encode()
        self._channels = channels
        self._echo = Echo(redis)
        self._every_seconds = every_seconds
        self._outage = Outage("probe.silence", "probe.heard")
        self.on_message: Final = self._echo.on_message

    async def run(self, subscriber: Subscriber) -> None:
        """Probes until cancelled, and has the subscriber reconnect when nothing comes."""
        self._channels.acquire(self.channel)
        while True:
            await asyncio.sleep(self._every_seconds)
            generation = subscriber.generation
            if await self._works():
                self._outage.worked()
            elif generation == subscriber.generation:
                metrics.SILENCES.inc()
                self._outage.failed()
                subscriber.reconnect()

    async def _works(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._channels.confirmed((self.channel,))
                await self._echo.returns(self.channel)
        except ResponseError as error:
            # Redis answers and refuses the probe itself (access rules, say): that tells nothing.
            _log.error("probe.refused", error=repr(error))
        except (ParleyError, TimeoutError):
            return False
        return True


class Echo:
    """What is published to a channel that its publisher is subscribed to, and whether it comes back."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._sent = 0
        self._heard = asyncio.Event()

    def on_message(self, payload: bytes) -> None:
        """Something came on the channel; a late answer to what was sent earlier counts for nothing."""
        if payload == b"%d" % self._sent:
            self._heard.set()

    async def returns(self, channel: bytes) -> None:
        """Publishes as soon as Redis takes it, and waits until it comes back.

        After an outage the first command may fail, which says nothing about the subscription.

        Raises:
            ResponseError: Redis answers, and refuses.
        """
        self._sent += 1
        self._heard.clear()
        while True:
            try:
                await self._redis.publish(channel, b"%d" % self._sent)
                break
            except ResponseError:
                raise
            except (ParleyError, RedisError, OSError, RuntimeError):  # uvloop's word for a lost transport
                await asyncio.sleep(_AGAIN_SECONDS)
        await self._heard.wait()

"""The Redis channels that this edge wants to hear, and which of them it hears.

Those who put connections into rooms acquire and release them; a subscriber (`edge.pubsub.subscriber`, or on a
cluster `edge.pubsub.cluster_subscriber`) subscribes and tells which are confirmed.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from mesh.errors import unavailable

# `chat:{<chatId>}` and `user:{<userId>}`; the braces are part of the name.
_CHAT: Final = b"chat:{"
_USER: Final = b"user:{"
_CONFIRM_SECONDS: Final = 5.0
_DEGRADED_SECONDS: Final = 1.0  # while Redis, or a node of it, is missing nobody waits longer for its return


def chat_channel(chat_id: str) -> bytes:
    """The channel of what happens in a chat."""
    return b"chat:{%b}" % chat_id.encode()


def user_channel(user_id: str) -> bytes:
    """The channel of what concerns one user."""
    return b"user:{%b}" % user_id.encode()


def chat_of(channel: bytes) -> str | None:
    """The chat of a channel; none where it is no chat's. Raises ValueError for a name that is no UTF-8."""
    return channel[len(_CHAT) : -1].decode() if channel.startswith(_CHAT) else None


def user_of(channel: bytes) -> str | None:
    """The user of a channel; none where it is no user's. Raises ValueError for a name that is no UTF-8."""
    return channel[len(_USER) : -1].decode() if channel.startswith(_USER) else None


@dataclass(slots=True)
class _Channel:
    wanted: bool = True
    unwanted_at: float = 0.0
    lost: bool = False  # it was confirmed once: when it is again, something may be missing
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class Channels:
    """What is wanted, or was until `linger_seconds` ago: people come back."""

    def __init__(self, *, linger_seconds: float = 20.0) -> None:
        self.linger_seconds: Final = linger_seconds
        self.missing: Final[set[bytes]] = set()
        """Not subscribed to, and not on the way: the subscriber takes them out."""
        self.changed: Final = asyncio.Event()
        """There may be new ones among the missing."""
        self.degraded = True
        """Whether the subscriber lacks a connection."""
        self._known: dict[bytes, _Channel] = {}

    def __iter__(self) -> Iterator[bytes]:
        return iter(tuple(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def has(self, name: bytes) -> bool:
        """Whether it is subscribed to, or about to be, also where nobody wants it any more."""
        return name in self._known

    def acquire(self, name: bytes) -> None:
        """Has it subscribed to, now or once Redis is back. Idempotent."""
        known = self._known.get(name)
        if known is None:
            self._known[name] = _Channel()
            self.missing.add(name)
            self.changed.set()
        else:
            known.wanted = True

    def release(self, name: bytes) -> None:
        """Allows the subscription to end; it does so a little later, in case the channel is wanted again."""
        known = self._known.get(name)
        if known is not None:
            known.wanted = False
            known.unwanted_at = asyncio.get_running_loop().time()

    async def confirmed(self, names: Iterable[bytes]) -> None:
        """Returns once Redis has confirmed all of these wanted channels.

        Raises:
            Unavailable: Redis did not within 5 seconds, or 1 second while it is down.
        """
        try:
            async with asyncio.timeout(_DEGRADED_SECONDS if self.degraded else _CONFIRM_SECONDS):
                for name in names:
                    known = self._known.get(name)
                    if known is not None:  # else nobody wants it any more
                        await known.confirmed.wait()
        except TimeoutError as error:
            raise unavailable("redis") from error

    # What the subscriber says.

    def confirm(self, name: bytes) -> bool:
        """It is subscribed to; true if it was lost before: what was published in between is missing."""
        known = self._known.get(name)
        if known is None:
            return False
        known.confirmed.set()
        was_lost, known.lost = known.lost, False
        return was_lost

    def lose(self, names: Iterable[bytes]) -> None:
        """They are not subscribed to (any more), and nobody asked for that."""
        for name in names:
            known = self._known.get(name)
            if known is not None:
                known.lost = known.lost or known.confirmed.is_set()
                known.confirmed.clear()
                self.missing.add(name)
        self.changed.set()

    def take_idle(self) -> list[bytes]:
        """Forgets what nobody has wanted for long; gives what of it is to be unsubscribed from.

        What is on its way waits: its confirmation must not be taken for that of a later subscription.
        """
        before = asyncio.get_running_loop().time() - self.linger_seconds
        idle: list[bytes] = []
        for name, channel in tuple(self._known.items()):
            if channel.wanted or channel.unwanted_at >= before:
                continue
            if channel.confirmed.is_set():
                idle.append(name)
            elif name not in self.missing:
                continue
            self.missing.discard(name)
            del self._known[name]
        return idle

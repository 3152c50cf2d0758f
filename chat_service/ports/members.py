"""Changing who is in a chat, and remembering who is not."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from parley.events.v1.chat_event_pb2 import ChatEvent

Pair = tuple[str, str]
"""A chat and a user."""


class NonMembers(Protocol):
    """Who is no member of what, remembered for some seconds, of each user up to a limit."""

    async def known(self, pairs: Sequence[Pair]) -> set[Pair]:
        """Those who were no members a moment ago. A role that is known in the chat itself counts more."""

    async def remember(self, pairs: Sequence[Pair]) -> None:
        """Keeps what the store said."""


class ChatLocks(Protocol):
    """One holder per chat among all processes, in the order in which they came."""

    def hold(self, chat_id: str) -> AbstractAsyncContextManager[None]:
        """Holds the chat while entered, 30 s at most; entering waits 3 s at most.

        Raises:
            ResourceExhausted: OVERLOADED, others hold it, or too many wait.
            Unavailable: Redis is down. Leaving may raise it too; the lock then ends by itself.
        """


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that was begun. ``logged``: the log has it, but it may not be published yet."""

    change: ChatEvent
    logged: bool


class PendingChanges(Protocol):
    """What is being changed about the members of a chat; one change per chat.

    Call it while the chat is held, see ``ChatLocks``; ``of`` may be asked without, and is then soon old.
    """

    async def begin(self, change: ChatEvent) -> None:
        """Keeps the change until ``forget``. Two round trips."""

    async def of(self, chat_id: str) -> Pending | None:
        """What is pending."""

    async def forget(self, chat_id: str) -> None:
        """All of it is done; or it did not happen, and will not."""

    async def left_behind(self, older_than_ms: int, limit: int) -> list[str]:
        """Up to ``limit`` chats in which something is pending for so long. Needs no lock."""

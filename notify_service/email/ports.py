"""What mails need of the outside world; see `ports` for what holds of all stores."""

from collections.abc import Collection, Mapping, Sequence
from email.message import EmailMessage
from typing import Protocol

from notify_service.email.digest import DueDigest, Email, WaitingChat
from notify_service.ports import Digests


class DigestStore(Digests, Protocol):
    """Where it is kept who is armed, and when each user was last mailed."""

    async def claim(self, limit: int, at_ms: int) -> Sequence[DueDigest]:
        """Takes users whose look is due, the longest due first; nobody else gets them for the next 60 s.

        Whoever is armed from now on is armed anew. What is neither settled nor put back comes up again after
        that time, with the same `due_at_ms`.
        """
        ...

    async def settle(self, due: Sequence[DueDigest], at_ms: int, *, mailed: Collection[str]) -> None:
        """Ends these looks, in one round trip; notes for the users in `mailed` that they were. Idempotent."""
        ...

    async def put_back(self, due: Mapping[DueDigest, int]) -> None:
        """Looks again at the given times (Unix milliseconds), in one round trip. Idempotent."""
        ...


class UnreadChats(Protocol):
    """What the store of chats knows of unread messages. Raises `Unavailable` when it cannot be asked."""

    async def of_user(self, user_id: str) -> Sequence[WaitingChat]:
        """The chats in which the user has not read everything, of the 500 last changed."""
        ...

    async def unread_since(self, chat: WaitingChat) -> int:
        """When the oldest unread message of the chat was sent, Unix milliseconds."""
        ...

    async def names(self, user_ids: Collection[str]) -> Mapping[str, str]:
        """The names of those users who have one."""
        ...


class EmailQueue(Protocol):
    """Takes mails that are to be sent."""

    async def publish(self, emails: Sequence[Email]) -> None:
        """Returns when they are safe in the queue.

        Raises:
            Unavailable: the broker did not confirm; some may be in the queue.
        """
        ...


class EmailRenderer(Protocol):
    """Renders e-mails."""

    def render(self, email: Email, address: str, time_zone: str) -> EmailMessage:
        """The message to a mail address, with its times in a zone of the IANA database. Pure.

        Raises:
            NotAskedError: the address cannot be written to.
        """
        ...

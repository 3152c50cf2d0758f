"""What deciding needs of the outside world; errors and waits are those of `notify_service.ports`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from notify_service.domain.decision import Reason
from notify_service.domain.push import Push
from notify_service.inbox.inbox import Inbox, InboxKey
from notify_service.inbox.recheck import Attention


class Inboxes(Protocol):
    """What users have still to be notified. Any number of processes use it at once."""

    async def change(self, changes: Mapping[InboxKey, Callable[[Inbox], Inbox]]) -> None:
        """Stores what each function makes of the inbox, in a few round trips for all of them.

        A function is called again with a newer state when another process was faster, so it must be pure. An
        inbox that does not exist is given to it empty, and is not made if it is returned unchanged.

        Raises:
            Unavailable: any of them may have been stored; a repeat is safe where the functions know it.
        """
        ...

    async def claim(
        self, at_ms: int, until_ms: int, limit: int, *, latest_first: bool = False
    ) -> list[Inbox]:
        """Claims what is due by `at_ms`: nobody else gets it before `until_ms`.

        Those due longest come first, or with `latest_first` those that became due last.

        Raises:
            Unavailable: what was claimed nevertheless is due again at `until_ms`.
        """
        ...

    async def is_waiting(self, user_id: str, message_id: str) -> bool:
        """Whether the user has still to be notified of this message, or not; in one round trip."""
        ...


class PushFilter(Protocol):
    """Knows what devices should show by now."""

    async def why_outdated(self, pushes: Collection[tuple[str, Push]]) -> Mapping[tuple[str, Push], Reason]:
        """Which of these pushes to users are not wanted any more, and why; in one round trip."""
        ...


class HandedOver(Protocol):
    """Knows what was handed over to be delivered."""

    async def known(self, keys: Collection[str]) -> Collection[str]:
        """Those keys under which a delivery was stored, on its way or settled; in one round trip."""
        ...


class Members(Protocol):
    """What members of chats know by now; asked from the service that owns it."""

    async def attention(
        self, keys: Sequence[InboxKey], messages: Collection[tuple[str, str]]
    ) -> tuple[Sequence[Attention], Collection[str]]:
        """What each user knows of the chat, in order, and which messages (chat's and own id) are deleted.

        Raises:
            Unavailable: that service, or its store, cannot be reached.
        """
        ...

    async def unread_totals(self, without: Mapping[str, Collection[str]]) -> Mapping[str, int]:
        """Unread messages of each user in all chats, but for those named here; raises as `attention` does."""
        ...

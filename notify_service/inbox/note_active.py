"""Notes that users were not notified because they were active, so that they are looked at again."""

from collections.abc import Mapping

from notify_service.inbox.active_user import NotedUsers
from notify_service.inbox.activity_ports import ActiveUserStore


class NoteActive:
    """Writes once per user in half the time until the look, however many messages there are."""

    def __init__(self, users: ActiveUserStore, *, after_ms: int) -> None:
        self._users = users
        self._after_ms = after_ms
        self._noted = NotedUsers()

    async def __call__(self, last_active: Mapping[str, int], at_ms: int) -> None:
        """Call it once the ledger says `active` of the messages, with the users' last activity (Unix ms).

        Raises:
            Unavailable: MongoDB cannot be reached; a repeat is safe.
        """
        new = self._noted.unknown(last_active, at_ms)
        if not new:
            return
        await self._users.arm({user_id: last_active[user_id] for user_id in new}, at_ms + self._after_ms)
        # Not until the look itself: what is being written when it comes must be noted for another one.
        self._noted.remember(new, at_ms + self._after_ms // 2)

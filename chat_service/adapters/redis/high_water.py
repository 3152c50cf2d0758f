"""How far logs are known to have got: what tells a Redis that came back older than it was."""

from collections import OrderedDict
from typing import Final

from chat_service.domain.model import Head

_CHATS: Final = 20_000


class HighWater:
    """The highest position seen lately, of the chats used last.

    A Redis that was restored from a late file, or a replica that took over before it had everything, would
    give positions a second time. A log that stands below what this process has seen is taken for lost.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def note(self, chat_id: str, epoch: int, seq: int) -> None:
        """The log of the chat stood there."""
        self._seen[chat_id] = max((epoch, seq), self._seen.get(chat_id, (0, 0)))
        self._seen.move_to_end(chat_id)
        if len(self._seen) > _CHATS:
            self._seen.popitem(last=False)

    def of(self, chat_id: str) -> tuple[int, int]:
        """Epoch and position, zeros when the chat was not seen."""
        return self._seen.get(chat_id, (0, 0))

    def check(self, chat_id: str, before: tuple[int, int], head: Head | None) -> Head | None:
        """Notes a head that was read; None if it is lost or below ``before``, which was seen before."""
        if head is None or (head.epoch, head.seq) < before:
            return None
        self.note(chat_id, head.epoch, head.seq)
        return head

"""The way to persist_service through RabbitMQ."""

from collections.abc import Sequence
from typing import Protocol

from chat_service.domain.model import (
    PointerMove,
)
from chat_service.ports.log import LogEntry


class Broker(Protocol):
    """The way to the store. Returning means that RabbitMQ has it on disk."""

    @property
    def is_up(self) -> bool:
        """Whether it can be reached as far as is known. Never blocks."""

    async def persist(self, entries: Sequence[LogEntry]) -> None:
        """Hands log entries over, those of one chat in order."""

    async def move_pointers(self, moves: Sequence[PointerMove]) -> None:
        """Hands pointer moves over."""

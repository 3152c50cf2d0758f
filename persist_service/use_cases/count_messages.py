"""Counts messages per chat and day."""

from collections.abc import Mapping, Sequence

from persist_service.domain.statistics import Fact
from persist_service.ports import Statistics


class CountMessages:
    """Each message once."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    async def __call__(self, facts: Sequence[Fact]) -> Mapping[int, str]:
        """Nothing is ever rejected here. Raises ``Unavailable``."""
        await self._statistics.count(facts)
        return {}

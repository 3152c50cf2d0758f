"""Keeps wrong settings from forgetting everybody's devices. Pure: the time is passed in.

A provider that is asked in the wrong environment, project or name calls every device unknown. One device of
which it says so may be gone; when it says so of many, the settings are at fault or the provider is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

WINDOW_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """When the brake goes on; both must be reached within a minute."""

    share: float = 0.2
    """Of a provider's answers, those that call a device unknown."""
    least: int = 10
    """How many these are at least."""


@dataclass(slots=True)
class _Second:
    answers: int = 0
    doubtful: int = 0


@dataclass(slots=True)
class _Brake:
    on: bool = False
    seconds: dict[int, _Second] = field(default_factory=dict)


class Brakes:
    """One for each provider that answered.

    A brake that is on goes off when the provider took something within the last minute and the share is below
    the limit again: silence is no sign that the settings were mended.
    """

    def __init__(
        self, limits: BrakeLimits, on_change: Callable[[str, bool], None] = lambda _provider, _on: None
    ) -> None:
        self._limits = limits
        self._on_change = on_change
        self._brakes: dict[str, _Brake] = {}

    def answered(self, provider: str, at_ms: int, *, doubtful: bool) -> bool:
        """Notes an answer; whether the brake is on, so that no device of this provider may be forgotten.

        Args:
            provider: one that the settings name.
            at_ms: now, Unix milliseconds.
            doubtful: it calls a device unknown, which may be the settings' fault.
        """
        brake = self._brakes.setdefault(provider, _Brake())
        second = at_ms // 1000
        for old in [each for each in brake.seconds if each <= second - WINDOW_SECONDS]:
            del brake.seconds[old]
        now = brake.seconds.setdefault(second, _Second())
        now.answers += 1
        now.doubtful += doubtful
        on = self._judge(brake)
        if on is not brake.on:
            brake.on = on
            self._on_change(provider, on)
        return on

    def _judge(self, brake: _Brake) -> bool:
        answers = sum(second.answers for second in brake.seconds.values())
        doubtful = sum(second.doubtful for second in brake.seconds.values())
        many = doubtful >= self._limits.share * answers
        if brake.on:
            return many or doubtful == answers
        return many and doubtful >= self._limits.least

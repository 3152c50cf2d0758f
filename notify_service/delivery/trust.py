"""What handlers believe of a provider that calls devices unknown."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from mesh.clock import now_ms
from mesh.logs import get_logger
from notify_service.delivery.brake import BrakeLimits, Brakes
from notify_service.metrics import PROVIDER_BRAKE
from notify_service.ports import NotAskedError, SendDelayedError, SendError, SendRefusedError, TargetGoneError

_WORDS: Final = "too many devices are unknown there: are the settings right?"

_log = get_logger()


class Trust:
    """Notes what providers answer, and takes back what they say of devices while a brake is on."""

    def __init__(self, limits: BrakeLimits, clock: Callable[[], int] = now_ms) -> None:
        self._brakes = Brakes(limits, _show)
        self._clock = clock

    def took(self, provider: str) -> None:
        """The provider took something."""
        self._brakes.answered(provider, self._clock(), doubtful=False)

    def refused(self, provider: str, error: SendError, *, doubtful: bool) -> SendError:
        """What an attempt comes to that ended with this error.

        While the brake is on a delivery whose device is unknown waits, and counts against the provider, so
        that those behind it wait as well.
        """
        if isinstance(error, NotAskedError) or not isinstance(error, SendRefusedError | TargetGoneError):
            return error  # nobody was asked, or nobody judged it
        if self._brakes.answered(provider, self._clock(), doubtful=doubtful) and doubtful:
            return SendDelayedError(f"{error} ({_WORDS})")
        return error


def _show(provider: str, on: bool) -> None:  # noqa: FBT001 - a callback
    """Only brakes that are on are shown."""
    if on:
        PROVIDER_BRAKE.labels(provider).set(1)
        _log.error("provider.devices_unknown", provider=provider)
    else:
        with suppress(KeyError):
            PROVIDER_BRAKE.remove(provider)
        _log.info("provider.devices_known_again", provider=provider)

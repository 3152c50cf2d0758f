"""What a client needs to know before it registers a device."""

from collections.abc import Collection
from dataclasses import dataclass

from notify_service.domain.device import DeviceKind
from notify_service.ports import PushKey


@dataclass(frozen=True, slots=True)
class PushConfig:
    """What can be registered."""

    kinds: tuple[DeviceKind, ...]
    vapid_public_key: str
    """Empty where browsers cannot be reached."""


class GetPushConfig:
    """Says what can be registered."""

    def __init__(self, kinds: Collection[DeviceKind], push_key: PushKey) -> None:
        self._kinds = kinds
        self._push_key = push_key

    async def __call__(self) -> PushConfig:
        """The kinds in a fixed order.

        Raises:
            Unavailable: the key for Web Push is not known yet and MongoDB cannot be reached.
        """
        kinds = tuple(kind for kind in DeviceKind if kind in self._kinds)
        return PushConfig(kinds, await self._push_key.public_key() if DeviceKind.WEB_PUSH in kinds else "")

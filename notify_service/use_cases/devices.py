"""The devices of a user."""

from collections.abc import Collection

from mesh.clock import now_ms
from mesh.errors import NotFound
from notify_service.domain.device import MAX_ADDRESS, MAX_DEVICES, MAX_LABEL, Device, DeviceKind
from notify_service.domain.limits import invalid, require_length, require_user_id
from notify_service.ports import DeviceStore
from parley.common.v1.error_pb2 import ErrorReason


class Devices:
    """Registers, lists and removes devices. Every method raises `Unavailable` while MongoDB is away."""

    def __init__(self, store: DeviceStore, kinds: Collection[DeviceKind]) -> None:
        self._store = store
        self._kinds = kinds

    async def register(self, user_id: str, kind: DeviceKind, address: str, label: str) -> Device:
        """Stores a device, or refreshes the one with this address.

        Raises:
            InvalidArgument: a field breaks its limit, or there is no sender for this kind here.
        """
        require_user_id(user_id)
        require_length("address", address, 1, MAX_ADDRESS)
        require_length("label", label, 0, MAX_LABEL)
        if kind not in self._kinds:
            raise invalid(f"kind: this deployment has no sender for {kind.value} devices")
        return await self._store.register(user_id, kind, address, label, now_ms(), keep=MAX_DEVICES)

    async def list(self, user_id: str) -> list[Device]:
        """The user's devices, the last refreshed first.

        Raises:
            InvalidArgument: the user id breaks its limit.
        """
        require_user_id(user_id)
        return await self._store.list(user_id)

    async def remove(self, user_id: str, device_id: str) -> None:
        """Removes a device of this user.

        Raises:
            InvalidArgument: the user id breaks its limit.
            NotFound: DEVICE_NOT_FOUND, also for the device of somebody else.
        """
        require_user_id(user_id)
        if not await self._store.remove(user_id, device_id):
            raise NotFound(ErrorReason.ERROR_REASON_DEVICE_NOT_FOUND, "the user has no such device")

"""`parley.notify.v1.NotifyService`: protobuf in, use cases, protobuf out."""

from typing import Any, Final

import grpc

from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import LedgerEntry, Outcome
from notify_service.domain.limits import invalid
from notify_service.domain.preferences import Preferences
from notify_service.use_cases.devices import Devices
from notify_service.use_cases.ledger import LedgerQuery
from notify_service.use_cases.preferences import UserPreferences
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceServicer

_KINDS: Final = {pb.DEVICE_KIND_LOG: DeviceKind.LOG}
_KINDS_OUT: Final = {kind: number for number, kind in _KINDS.items()}
_OUTCOMES: Final = {
    Outcome.PENDING: pb.OUTCOME_PENDING,
    Outcome.SENT: pb.OUTCOME_SENT,
    Outcome.SUPPRESSED: pb.OUTCOME_SUPPRESSED,
    Outcome.FAILED: pb.OUTCOME_FAILED,
}

Context = grpc.aio.ServicerContext[Any, Any]


class NotifyRpc(NotifyServiceServicer):
    """The servicer; limits and errors are the use cases'."""

    def __init__(self, devices: Devices, preferences: UserPreferences, ledger: LedgerQuery) -> None:
        self._devices = devices
        self._preferences = preferences
        self._ledger = ledger

    async def RegisterDevice(
        self, request: pb.RegisterDeviceRequest, context: Context
    ) -> pb.RegisterDeviceResponse:
        """Stores or refreshes a device."""
        kind = _KINDS.get(request.kind)
        if kind is None:
            raise invalid("kind: is not set, or not known to this version")
        device = await self._devices.register(request.user_id, kind, request.address, request.label)
        return pb.RegisterDeviceResponse(device=_device(device))

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        """Lists a user's devices."""
        devices = await self._devices.list(request.user_id)
        return pb.ListDevicesResponse(devices=map(_device, devices))

    async def RemoveDevice(
        self, request: pb.RemoveDeviceRequest, context: Context
    ) -> pb.RemoveDeviceResponse:
        """Removes a device."""
        await self._devices.remove(request.user_id, request.device_id)
        return pb.RemoveDeviceResponse()

    async def GetPreferences(
        self, request: pb.GetPreferencesRequest, context: Context
    ) -> pb.GetPreferencesResponse:
        """Shows preferences."""
        preferences = await self._preferences.get(request.user_id)
        return pb.GetPreferencesResponse(preferences=_preferences(preferences))

    async def SetPreferences(
        self, request: pb.SetPreferencesRequest, context: Context
    ) -> pb.SetPreferencesResponse:
        """Replaces preferences."""
        if not request.HasField("preferences"):
            # A message left out would read as "tell me nothing": all its switches are off.
            raise invalid("preferences: is not set")
        wanted = Preferences(
            enabled=request.preferences.enabled,
            muted_chat_ids=frozenset(request.preferences.muted_chat_ids),
            show_preview=request.preferences.show_preview,
        )
        await self._preferences.set(request.user_id, wanted)
        return pb.SetPreferencesResponse(preferences=_preferences(wanted))

    async def ListLedger(self, request: pb.ListLedgerRequest, context: Context) -> pb.ListLedgerResponse:
        """Tells what was decided and tried."""
        entries = await self._ledger.find(request.user_id, request.message_id, request.limit)
        return pb.ListLedgerResponse(entries=map(_entry, entries))


def _device(device: Device) -> pb.Device:
    return pb.Device(
        id=device.id,
        user_id=device.user_id,
        kind=_KINDS_OUT[device.kind],
        address=device.address,
        label=device.label,
        created_at_ms=device.created_at_ms,
        refreshed_at_ms=device.refreshed_at_ms,
    )


def _preferences(preferences: Preferences) -> pb.Preferences:
    return pb.Preferences(
        enabled=preferences.enabled,
        muted_chat_ids=sorted(preferences.muted_chat_ids),
        show_preview=preferences.show_preview,
    )


def _entry(entry: LedgerEntry) -> pb.LedgerEntry:
    return pb.LedgerEntry(
        id=entry.id,
        user_id=entry.slot.user_id,
        message_id=entry.slot.message_id,
        chat_id=entry.chat_id,
        device_id=entry.slot.device_id,
        outcome=_OUTCOMES[entry.outcome],
        detail=entry.detail,
        at_ms=entry.at_ms,
    )

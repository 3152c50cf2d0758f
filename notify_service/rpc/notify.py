"""`parley.notify.v1.NotifyService`: protobuf in, use cases, protobuf out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from notify_service.domain.device import DeviceKind
from notify_service.domain.limits import invalid
from notify_service.ledger.explanation import Explanation
from notify_service.ledger.query import LedgerQuery
from notify_service.people.devices import Devices, GetPushConfig
from notify_service.people.preferences import UserPreferences
from notify_service.rpc import notify_codec as codec
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class NotifyUseCases:
    """What the service does."""

    devices: Devices
    push_config: GetPushConfig
    preferences: UserPreferences
    unsubscribe: Callable[[str], Awaitable[None]]
    ledger: LedgerQuery
    explain: Callable[[str, str], Awaitable[Explanation]]


class NotifyRpc(NotifyServiceServicer):
    """The servicer; limits and errors are the use cases'."""

    def __init__(self, use_cases: NotifyUseCases) -> None:
        self._do = use_cases

    async def RegisterDevice(
        self, request: pb.RegisterDeviceRequest, context: Context
    ) -> pb.RegisterDeviceResponse:
        """Stores or refreshes a device."""
        kind = codec.KINDS.get(request.kind)
        if kind is None:
            raise invalid("kind: is not set, or not known to this version")
        device = await self._do.devices.register(
            request.user_id,
            kind,
            request.address,
            request.label,
            web_push_keys=codec.web_push_keys_from(request),
            signing_secret=request.signing_secret,
        )
        secret = device.signing_secret if kind is DeviceKind.WEBHOOK else ""
        return pb.RegisterDeviceResponse(device=codec.device_to(device), signing_secret=secret)

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        """Lists a user's devices."""
        devices = await self._do.devices.list(request.user_id)
        return pb.ListDevicesResponse(devices=map(codec.device_to, devices))

    async def RemoveDevice(
        self, request: pb.RemoveDeviceRequest, context: Context
    ) -> pb.RemoveDeviceResponse:
        """Removes a device."""
        await self._do.devices.remove(request.user_id, request.device_id)
        return pb.RemoveDeviceResponse()

    async def GetPushConfig(
        self, request: pb.GetPushConfigRequest, context: Context
    ) -> pb.GetPushConfigResponse:
        """Says what can be registered."""
        config = await self._do.push_config()
        return pb.GetPushConfigResponse(
            kinds=[codec.KINDS_OUT[kind] for kind in config.kinds], vapid_public_key=config.vapid_public_key
        )

    async def GetPreferences(
        self, request: pb.GetPreferencesRequest, context: Context
    ) -> pb.GetPreferencesResponse:
        """Shows preferences."""
        preferences = await self._do.preferences.get(request.user_id)
        return pb.GetPreferencesResponse(preferences=codec.preferences_to(preferences))

    async def SetPreferences(
        self, request: pb.SetPreferencesRequest, context: Context
    ) -> pb.SetPreferencesResponse:
        """Replaces preferences."""
        if not request.HasField("preferences"):
            # A message left out would read as "tell me nothing": all its switches are off.
            raise invalid("preferences: is not set")
        wanted = codec.preferences_from(request.preferences)
        stored = await self._do.preferences.set(request.user_id, wanted)
        return pb.SetPreferencesResponse(preferences=codec.preferences_to(stored))

    async def MuteChat(self, request: pb.MuteChatRequest, context: Context) -> pb.MuteChatResponse:
        """Mutes a chat."""
        await self._do.preferences.mute(request.user_id, codec.muted_chat_from(request.chat))
        return pb.MuteChatResponse()

    async def UnmuteChat(self, request: pb.UnmuteChatRequest, context: Context) -> pb.UnmuteChatResponse:
        """Ends the muting of a chat."""
        await self._do.preferences.unmute(request.user_id, request.chat_id)
        return pb.UnmuteChatResponse()

    async def Unsubscribe(self, request: pb.UnsubscribeRequest, context: Context) -> pb.UnsubscribeResponse:
        """Ends e-mails."""
        await self._do.unsubscribe(request.token)
        return pb.UnsubscribeResponse()

    async def ListLedger(self, request: pb.ListLedgerRequest, context: Context) -> pb.ListLedgerResponse:
        """Lists what was decided and tried."""
        entries = await self._do.ledger.find(
            request.user_id, request.message_id, request.limit, request.before_id
        )
        return pb.ListLedgerResponse(entries=map(codec.entry_to, entries))

    async def ExplainNotification(
        self, request: pb.ExplainNotificationRequest, context: Context
    ) -> pb.ExplainNotificationResponse:
        """Explains why a person was notified of a message, or was not."""
        explanation = await self._do.explain(request.user_id, request.message_id)
        return codec.explanation_to(explanation)

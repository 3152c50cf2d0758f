"""``/devices`` and ``/push-config``: where the user's notifications go."""

from edge.rest.handler import RestHandler
from edge.rest.notification_bodies import (
    OWN_KINDS,
    DeviceAnswer,
    DevicesAnswer,
    PushConfigAnswer,
    RegisterDeviceBody,
)
from edge.rest.notification_shapes import KINDS, device_json, kind_name
from edge.rest.parameters import object_id
from parley.notify.v1 import notify_service_pb2 as pb


class DevicesHandler(RestHandler):
    """``/devices``."""

    async def get(self) -> None:
        """The user's devices, the last refreshed first."""
        found = await self.deps.notify.ListDevices(pb.ListDevicesRequest(user_id=self.user_id))
        self.answer(DevicesAnswer(devices=[device_json(device) for device in found.devices]))

    async def post(self) -> None:
        """Registers a device, or refreshes the one with this address."""
        body = self.body(RegisterDeviceBody)
        registered = await self.deps.notify.RegisterDevice(
            pb.RegisterDeviceRequest(
                user_id=self.user_id,
                kind=KINDS[body.kind],
                address=body.address,
                label=body.label,
                web_push_keys=None
                if body.keys is None
                else pb.WebPushKeys(p256dh=body.keys.p256dh, auth=body.keys.auth),
            )
        )
        self.answer(DeviceAnswer(device=device_json(registered.device)))


class DeviceHandler(RestHandler):
    """``/devices/{deviceId}``."""

    async def delete(self, device: str) -> None:
        """Removes one of the user's devices."""
        await self.deps.notify.RemoveDevice(
            pb.RemoveDeviceRequest(user_id=self.user_id, device_id=object_id("deviceId", device))
        )
        self.answer_nothing()


class PushConfigHandler(RestHandler):
    """``/push-config``."""

    async def get(self) -> None:
        """What a client needs to know before it registers a device."""
        config = await self.deps.notify.GetPushConfig(pb.GetPushConfigRequest())
        names = [kind_name(kind) for kind in config.kinds]
        self.answer(
            PushConfigAnswer(
                kinds=[name for name in names if name in OWN_KINDS],
                vapid_public_key=config.vapid_public_key or None,
            )
        )

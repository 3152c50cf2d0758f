"""``/devices`` and ``/push-config``: where the user's notifications go."""

from http import HTTPStatus
from typing import Final

from edge.rest.handler import RestHandler
from edge.rest.notification_bodies import (
    OWN_KINDS,
    DeviceAnswer,
    DevicesAnswer,
    PushConfigAnswer,
    RegisterDeviceBody,
)
from edge.rest.notification_shapes import KINDS, device_json, kind_name
from edge.rest.operation import Operation, Parameter
from edge.rest.parameters import OBJECT_ID
from parley.common.v1.error_pb2 import ErrorReason
from parley.notify.v1 import notify_service_pb2 as pb

_DEVICE: Final = Parameter("deviceId", "The device.", OBJECT_ID, in_path=True)


class DevicesHandler(RestHandler):
    """The user's devices."""

    path = "/api/v1/devices"
    operations = (
        Operation(
            method="GET",
            name="listDevices",
            summary="The user's devices, the last refreshed first",
            answers={HTTPStatus.OK: DevicesAnswer},
        ),
        Operation(
            method="POST",
            name="registerDevice",
            summary="Register a device, or refresh the one with this address, which leaves another who "
            "had it",
            body=RegisterDeviceBody,
            answers={HTTPStatus.OK: DeviceAnswer},
        ),
    )

    async def get(self) -> None:
        """Lists the devices."""
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
    """One device."""

    path = "/api/v1/devices/{deviceId}"
    operations = (
        Operation(
            method="DELETE",
            name="removeDevice",
            summary="Remove a device, when the user logs out of it say",
            parameters=(_DEVICE,),
            answers={HTTPStatus.NO_CONTENT: None},
            errors=(ErrorReason.ERROR_REASON_DEVICE_NOT_FOUND,),
        ),
    )

    async def delete(self) -> None:
        """Removes one of the user's devices."""
        await self.deps.notify.RemoveDevice(
            pb.RemoveDeviceRequest(user_id=self.user_id, device_id=self.value(_DEVICE))
        )
        self.answer_nothing()


class PushConfigHandler(RestHandler):
    """What the user can register here."""

    path = "/api/v1/push-config"
    operations = (
        Operation(
            method="GET",
            name="getPushConfig",
            summary="What can be registered here, and the key that browsers subscribe with",
            answers={HTTPStatus.OK: PushConfigAnswer},
        ),
    )

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

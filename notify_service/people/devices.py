"""The devices of a user, and what a client needs to know before it registers one."""

from collections.abc import Collection
from dataclasses import dataclass

from contract import limits
from mesh.clock import now_ms
from mesh.errors import NotFound
from notify_service.domain.address import normal_address, normal_keys
from notify_service.domain.device import MAX_DEVICES, Device, DeviceKind, WebPushKeys
from notify_service.domain.limits import invalid, require_label, require_user_id
from notify_service.domain.signature import BadSecretError, check_secret, new_secret
from notify_service.ports import DeviceStore, PushKey
from parley.common.v1.error_pb2 import ErrorReason


class Devices:
    """Registers, lists and removes devices. Every method raises `Unavailable` while MongoDB is away."""

    def __init__(
        self, store: DeviceStore, kinds: Collection[DeviceKind], *, allow_loopback: bool = False
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._allow_loopback = allow_loopback

    async def register(
        self,
        user_id: str,
        kind: DeviceKind,
        address: str,
        label: str,
        *,
        web_push_keys: WebPushKeys | None = None,
        signing_secret: str = "",
    ) -> Device:
        """Stores a device, or refreshes the one with this address.

        A webhook keeps its signing secret when none is given, and gets a new one when it has none.

        Raises:
            InvalidArgument: a field is missing or wrong, or there is no sender for this kind here.
        """
        require_user_id(user_id)
        require_label("label", label, limits.LABEL_LENGTH)
        if kind not in self._kinds:
            raise invalid(f"kind: this deployment has no sender for {kind.value} devices")
        return await self._store.register(
            user_id,
            kind,
            normal_address(kind, address, allow_loopback=self._allow_loopback),
            label,
            now_ms(),
            keep=MAX_DEVICES,
            web_push_keys=_keys_of(kind, web_push_keys),
            signing_secret=_secret_of(kind, signing_secret),
            first_secret=new_secret() if kind is DeviceKind.WEBHOOK else "",
        )

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


def _keys_of(kind: DeviceKind, keys: WebPushKeys | None) -> WebPushKeys | None:
    if kind is not DeviceKind.WEB_PUSH:
        if keys is not None:
            raise invalid(f"web_push_keys: {kind.value} devices have none")
        return None
    if keys is None:
        raise invalid("web_push_keys: is not set; the browser's subscription has them as `keys`")
    return normal_keys(keys)


def _secret_of(kind: DeviceKind, secret: str) -> str:
    if not secret:
        return ""
    if kind is not DeviceKind.WEBHOOK:
        raise invalid(f"signing_secret: {kind.value} devices have none")
    try:
        check_secret(secret)
    except BadSecretError as error:
        raise invalid(f"signing_secret: {error}") from error
    return secret


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

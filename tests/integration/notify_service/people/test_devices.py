"""The life of a device, over gRPC."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.errors import InvalidArgument, NotFound, Unavailable
from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.domain.device import MAX_DEVICES, DeviceKind, WebPushKeys
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.notify_service.conftest import new_user
from tests.integration.notify_service.people.desk import open_desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub

POINT = (
    generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)
KEYS = pb.WebPushKeys(
    p256dh=base64.urlsafe_b64encode(POINT).decode(), auth=base64.urlsafe_b64encode(bytes(16)).decode()
)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def desk(mongo_url: str) -> AsyncIterator[NotifyServiceStub]:
    async with open_desk(mongo_url) as stub:
        yield stub


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[MongoDeviceStore]:
    async with open_mongo(mongo_url) as mongo:
        await mongo.prepare(make_indexes)
        yield MongoDeviceStore(mongo)


async def register(
    desk: NotifyServiceStub, user: str, address: str = "log", label: str = "", **fields: Any
) -> pb.Device:
    request = pb.RegisterDeviceRequest(user_id=user, kind=pb.DEVICE_KIND_LOG, address=address, label=label)
    request.MergeFrom(pb.RegisterDeviceRequest(**fields))
    answer: pb.RegisterDeviceResponse = await desk.RegisterDevice(request)
    return answer.device


async def devices(desk: NotifyServiceStub, user: str) -> list[pb.Device]:
    answer: pb.ListDevicesResponse = await desk.ListDevices(pb.ListDevicesRequest(user_id=user))
    return list(answer.devices)


async def test_registered_refreshed_listed_removed(desk: NotifyServiceStub) -> None:
    user = new_user()
    first = await register(desk, user, "one", "my phone")
    second = await register(desk, user, "two")
    assert {device.address for device in await devices(desk, user)} == {"two", "one"}

    again = await register(desk, user, "one", "my old phone")
    assert (again.id, again.created_at_ms, again.label) == (first.id, first.created_at_ms, "my old phone")
    assert again.refreshed_at_ms >= second.refreshed_at_ms

    await desk.RemoveDevice(pb.RemoveDeviceRequest(user_id=user, device_id=first.id))
    assert [device.id for device in await devices(desk, user)] == [second.id]
    with pytest.raises(NotFound) as repeat:
        await desk.RemoveDevice(pb.RemoveDeviceRequest(user_id=user, device_id=first.id))
    assert repeat.value.code == "DEVICE_NOT_FOUND"


@pytest.mark.parametrize("device_id", ["", "nonsense", "0" * 24])
async def test_what_is_no_device_is_not_found(desk: NotifyServiceStub, device_id: str) -> None:
    with pytest.raises(NotFound) as error:
        await desk.RemoveDevice(pb.RemoveDeviceRequest(user_id=new_user(), device_id=device_id))
    assert error.value.code == "DEVICE_NOT_FOUND"


async def test_another_users_device_can_be_neither_seen_nor_removed(desk: NotifyServiceStub) -> None:
    owner, stranger = new_user(), new_user()
    device = await register(desk, owner)
    with pytest.raises(NotFound) as error:
        await desk.RemoveDevice(pb.RemoveDeviceRequest(user_id=stranger, device_id=device.id))
    assert error.value.code == "DEVICE_NOT_FOUND"
    assert await devices(desk, stranger) == []
    assert [kept.id for kept in await devices(desk, owner)] == [device.id]


async def test_one_device_too_many_forgets_the_one_refreshed_longest_ago(store: MongoDeviceStore) -> None:
    user = new_user()
    for number in range(MAX_DEVICES):
        await store.register(user, DeviceKind.LOG, f"address {number}", "", number, keep=MAX_DEVICES)
    await store.register(user, DeviceKind.LOG, "address 0", "", 100, keep=MAX_DEVICES)
    await store.register(user, DeviceKind.LOG, "one more", "", 101, keep=MAX_DEVICES)
    kept = [device.address for device in await store.list(user)]
    assert kept == ["one more", "address 0", *(f"address {n}" for n in range(MAX_DEVICES - 1, 1, -1))]


async def test_a_browser_has_its_keys_and_new_ones_when_it_subscribes_anew(
    desk: NotifyServiceStub, store: MongoDeviceStore
) -> None:
    user, address = new_user(), f"https://push.example/{new_object_id()}"
    browser: dict[str, Any] = {"kind": pb.DEVICE_KIND_WEB_PUSH, "web_push_keys": KEYS}
    first = await register(desk, user, address, **browser)
    (stored,) = await store.list(user)
    assert stored.web_push_keys == WebPushKeys(KEYS.p256dh.rstrip("="), KEYS.auth.rstrip("="))
    newer = pb.WebPushKeys(p256dh=KEYS.p256dh, auth=base64.urlsafe_b64encode(bytes(15) + b"\1").decode())
    again = await register(desk, user, address, **{**browser, "web_push_keys": newer})
    assert again.id == first.id
    (stored,) = await store.list(user)
    assert stored.web_push_keys == WebPushKeys(KEYS.p256dh.rstrip("="), newer.auth.rstrip("="))


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (pb.DEVICE_KIND_WEB_PUSH, "https://push.example/{}"),
        (pb.DEVICE_KIND_FCM, "token:{}"),
        (pb.DEVICE_KIND_APNS, "{0}{0}"),
    ],
)
async def test_an_app_that_changed_hands_tells_its_former_user_nothing(
    desk: NotifyServiceStub, store: MongoDeviceStore, kind: pb.DeviceKind.ValueType, address: str
) -> None:
    former, present, address = new_user(), new_user(), address.format(new_object_id())
    keys = KEYS if kind == pb.DEVICE_KIND_WEB_PUSH else None
    was = await register(desk, former, address, kind=kind, web_push_keys=keys)
    other = await register(desk, former, "another")
    now = await register(desk, present, address, kind=kind, web_push_keys=keys)
    assert [device.id for device in await devices(desk, former)] == [other.id]
    assert [device.id for device in await devices(desk, present)] == [now.id]
    # Not even what is on its way already, which goes by the device's id.
    assert was.id not in await store.get_many([was.id, now.id])


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (pb.DEVICE_KIND_EMAIL, "family@example.com"),
        (pb.DEVICE_KIND_WEBHOOK, "https://hooks.example/in"),
        (pb.DEVICE_KIND_LOG, "log"),
    ],
)
async def test_mailboxes_and_webhooks_are_shared(
    desk: NotifyServiceStub, kind: pb.DeviceKind.ValueType, address: str
) -> None:
    for user in (users := [new_user(), new_user()]):
        await register(desk, user, address, kind=kind)
    for user in users:
        assert [device.address for device in await devices(desk, user)] == [address]


async def test_users_who_register_one_address_at_once_end_with_one_owner(store: MongoDeviceStore) -> None:
    users, address = [new_user() for _ in range(4)], new_object_id()
    for _ in range(5):
        results = await asyncio.gather(
            *(store.register(user, DeviceKind.FCM, address, "", 1, keep=9) for user in users),
            return_exceptions=True,
        )
        assert all(
            not isinstance(result, BaseException) or isinstance(result, Unavailable) for result in results
        )
        owned = await store.of_users(users)
        assert sum(len(found) for found in owned.values()) == 1


async def test_one_user_who_registers_twice_at_once_has_one_device(store: MongoDeviceStore) -> None:
    user, address = new_user(), new_object_id()
    registered = await asyncio.gather(
        *(store.register(user, DeviceKind.FCM, address, "", at_ms, keep=9) for at_ms in range(4))
    )
    assert {device.id for device in registered} == {device.id for device in await store.list(user)}
    assert len(await store.list(user)) == 1


async def test_a_device_that_was_refreshed_meanwhile_is_not_pruned(store: MongoDeviceStore) -> None:
    user, address = new_user(), new_object_id()
    read = await store.register(user, DeviceKind.FCM, address, "", 1, keep=9)
    refreshed = await store.register(user, DeviceKind.FCM, address, "", 2, keep=9)
    assert not await store.prune(read)
    assert await store.list(user) == [refreshed]
    assert await store.prune(refreshed)
    assert not await store.prune(refreshed)
    assert await store.list(user) == []


async def test_a_webhook_keeps_its_secret_until_another_is_given(
    desk: NotifyServiceStub, store: MongoDeviceStore
) -> None:
    user = new_user()

    async def secret(given: str = "") -> str:
        request = pb.RegisterDeviceRequest(
            user_id=user,
            kind=pb.DEVICE_KIND_WEBHOOK,
            address="https://hooks.example/in",
            signing_secret=given,
        )
        answer: pb.RegisterDeviceResponse = await desk.RegisterDevice(request)
        (stored,) = await store.list(user)
        assert stored.signing_secret == answer.signing_secret
        return answer.signing_secret

    made = await secret()
    assert made.startswith("whsec_")
    assert await secret() == made
    assert await secret(SECRET) == SECRET
    assert await secret() == SECRET
    assert SECRET not in str(await devices(desk, user))


async def test_other_kinds_have_no_secret(desk: NotifyServiceStub) -> None:
    request = pb.RegisterDeviceRequest(user_id=new_user(), kind=pb.DEVICE_KIND_LOG, address="log")
    answer: pb.RegisterDeviceResponse = await desk.RegisterDevice(request)
    assert answer.signing_secret == ""


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("user_id", {"user_id": ""}),
        ("user_id", {"user_id": "u" * 129}),
        ("address", {"address": ""}),
        ("address", {"address": "a" * 4097}),
        ("address", {"kind": pb.DEVICE_KIND_APNS, "address": "xyz"}),
        ("address", {"kind": pb.DEVICE_KIND_EMAIL, "address": "ada@example.com\nBcc: eve@example.com"}),
        ("address", {"kind": pb.DEVICE_KIND_WEBHOOK, "address": "http://hooks.example/"}),
        ("address", {"kind": pb.DEVICE_KIND_WEBHOOK, "address": "https://169.254.169.254/"}),
        (
            "address",
            {"kind": pb.DEVICE_KIND_WEB_PUSH, "address": "http://127.0.0.1/", "web_push_keys": KEYS},
        ),
        ("label", {"label": "l" * 101}),
        ("kind", {"kind": pb.DEVICE_KIND_UNSPECIFIED}),
        ("kind", {"kind": 99}),
        ("web_push_keys", {"kind": pb.DEVICE_KIND_WEB_PUSH, "address": "https://push.example/"}),
        ("web_push_keys", {"web_push_keys": KEYS}),
        (
            r"web_push_keys\.auth",
            {
                "kind": pb.DEVICE_KIND_WEB_PUSH,
                "address": "https://push.example/",
                "web_push_keys": pb.WebPushKeys(p256dh=KEYS.p256dh, auth="AA"),
            },
        ),
        ("signing_secret", {"signing_secret": SECRET}),
        (
            "signing_secret",
            {
                "kind": pb.DEVICE_KIND_WEBHOOK,
                "address": "https://hooks.example/",
                "signing_secret": "whsec_c2hvcnQ=",
            },
        ),
    ],
)
async def test_a_broken_limit_is_told_by_its_field(
    desk: NotifyServiceStub, field: str, fields: dict[str, Any]
) -> None:
    usual: dict[str, Any] = {"user_id": new_user(), "kind": pb.DEVICE_KIND_LOG, "address": "log"}
    with pytest.raises(InvalidArgument, match=f"^{field}:"):
        await desk.RegisterDevice(pb.RegisterDeviceRequest(**{**usual, **fields}))


async def test_a_device_that_could_never_be_reached_is_refused(mongo_url: str) -> None:
    async with open_desk(mongo_url, (DeviceKind.FCM,)) as desk:
        with pytest.raises(InvalidArgument, match="no sender for log devices"):
            await register(desk, new_user())
        config: pb.GetPushConfigResponse = await desk.GetPushConfig(pb.GetPushConfigRequest())
        assert config == pb.GetPushConfigResponse(kinds=[pb.DEVICE_KIND_FCM])


async def test_browsers_are_told_the_key_to_subscribe_with(desk: NotifyServiceStub) -> None:
    config: pb.GetPushConfigResponse = await desk.GetPushConfig(pb.GetPushConfigRequest())
    assert set(config.kinds) == set(pb.DeviceKind.values()) - {pb.DEVICE_KIND_UNSPECIFIED}
    assert len(base64.urlsafe_b64decode(config.vapid_public_key + "=")) == 65
    again: pb.GetPushConfigResponse = await desk.GetPushConfig(pb.GetPushConfigRequest())
    assert again == config


async def test_development_may_reach_this_machine(mongo_url: str) -> None:
    async with open_desk(mongo_url, allow_loopback=True) as desk:
        address = f"http://127.0.0.1:8080/{new_object_id()}"
        device = await register(desk, new_user(), address, kind=pb.DEVICE_KIND_WEB_PUSH, web_push_keys=KEYS)
        assert device.address == address

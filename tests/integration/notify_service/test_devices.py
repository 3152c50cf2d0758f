"""The life of a device, over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mesh.errors import InvalidArgument, NotFound
from notify_service.domain.device import MAX_DEVICES
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.notify_service.conftest import new_user, running

if TYPE_CHECKING:
    from tests.integration.notify_service.conftest import Service


async def register(service: Service, user: str, address: str = "log", label: str = "") -> pb.Device:
    request = pb.RegisterDeviceRequest(user_id=user, kind=pb.DEVICE_KIND_LOG, address=address, label=label)
    answer: pb.RegisterDeviceResponse = await service.stub.RegisterDevice(request)
    return answer.device


async def devices(service: Service, user: str) -> list[pb.Device]:
    answer: pb.ListDevicesResponse = await service.stub.ListDevices(pb.ListDevicesRequest(user_id=user))
    return list(answer.devices)


async def test_registered_refreshed_listed_removed(service: Service) -> None:
    user = new_user()
    first = await register(service, user, "one", "my phone")
    second = await register(service, user, "two")
    assert [device.address for device in await devices(service, user)] == ["two", "one"]

    again = await register(service, user, "one", "my old phone")
    assert (again.id, again.created_at_ms, again.label) == (first.id, first.created_at_ms, "my old phone")
    assert again.refreshed_at_ms >= second.refreshed_at_ms
    assert [device.id for device in await devices(service, user)] == [first.id, second.id]

    await service.stub.RemoveDevice(pb.RemoveDeviceRequest(user_id=user, device_id=first.id))
    assert [device.id for device in await devices(service, user)] == [second.id]
    with pytest.raises(NotFound) as repeat:
        await service.stub.RemoveDevice(pb.RemoveDeviceRequest(user_id=user, device_id=first.id))
    assert repeat.value.code == "DEVICE_NOT_FOUND"


@pytest.mark.parametrize("device_id", ["", "nonsense", "0" * 24])
async def test_what_is_no_device_is_not_found(service: Service, device_id: str) -> None:
    with pytest.raises(NotFound) as error:
        await service.stub.RemoveDevice(pb.RemoveDeviceRequest(user_id=new_user(), device_id=device_id))
    assert error.value.code == "DEVICE_NOT_FOUND"


async def test_another_users_device_can_be_neither_seen_nor_removed(service: Service) -> None:
    owner, stranger = new_user(), new_user()
    device = await register(service, owner)
    with pytest.raises(NotFound) as error:
        await service.stub.RemoveDevice(pb.RemoveDeviceRequest(user_id=stranger, device_id=device.id))
    assert error.value.code == "DEVICE_NOT_FOUND"
    assert await devices(service, stranger) == []
    assert [kept.id for kept in await devices(service, owner)] == [device.id]


async def test_one_device_too_many_forgets_the_oldest(service: Service) -> None:
    user = new_user()
    registered = [await register(service, user, f"address {number}") for number in range(MAX_DEVICES + 1)]
    kept = {device.id for device in await devices(service, user)}
    assert kept == {device.id for device in registered[1:]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", ""),
        ("user_id", "u" * 129),
        ("address", ""),
        ("address", "a" * 4097),
        ("label", "l" * 101),
        ("kind", pb.DEVICE_KIND_UNSPECIFIED),
    ],
)
async def test_a_broken_limit_is_told_by_its_field(service: Service, field: str, value: object) -> None:
    request = pb.RegisterDeviceRequest(user_id=new_user(), kind=pb.DEVICE_KIND_LOG, address="log")
    setattr(request, field, value)
    with pytest.raises(InvalidArgument, match=f"^{field}:"):
        await service.stub.RegisterDevice(request)


async def test_production_refuses_a_device_that_it_could_never_reach(amqp_url: str, mongo_url: str) -> None:
    async with running(amqp_url, mongo_url, env="production") as service:
        with pytest.raises(InvalidArgument, match="no sender for log devices"):
            await register(service, new_user())

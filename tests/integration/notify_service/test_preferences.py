"""What users wish, over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mesh.errors import InvalidArgument
from mesh.ids import new_object_id
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.notify_service.conftest import new_user

if TYPE_CHECKING:
    from tests.integration.notify_service.conftest import Service


async def preferences(service: Service, user: str) -> pb.Preferences:
    answer: pb.GetPreferencesResponse = await service.stub.GetPreferences(
        pb.GetPreferencesRequest(user_id=user)
    )
    return answer.preferences


async def test_the_defaults_hold_until_something_is_set(service: Service) -> None:
    assert await preferences(service, new_user()) == pb.Preferences(enabled=True, show_preview=True)


async def test_setting_replaces_all_of_it(service: Service) -> None:
    user, chats = new_user(), sorted((new_object_id(), new_object_id()))
    quiet = pb.Preferences(enabled=False, muted_chat_ids=[*chats, chats[0]], show_preview=False)
    await service.stub.SetPreferences(pb.SetPreferencesRequest(user_id=user, preferences=quiet))
    assert await preferences(service, user) == pb.Preferences(muted_chat_ids=chats)

    loud = pb.Preferences(enabled=True)
    await service.stub.SetPreferences(pb.SetPreferencesRequest(user_id=user, preferences=loud))
    assert await preferences(service, user) == loud


async def test_preferences_left_out_switch_nothing_off(service: Service) -> None:
    user = new_user()
    with pytest.raises(InvalidArgument, match=r"^preferences:"):
        await service.stub.SetPreferences(pb.SetPreferencesRequest(user_id=user))
    assert (await preferences(service, user)).enabled


async def test_too_many_muted_chats_are_refused(service: Service) -> None:
    wanted = pb.Preferences(muted_chat_ids=[f"{number:024x}" for number in range(1001)])
    with pytest.raises(InvalidArgument, match=r"^preferences\.muted_chat_ids:"):
        await service.stub.SetPreferences(pb.SetPreferencesRequest(user_id=new_user(), preferences=wanted))

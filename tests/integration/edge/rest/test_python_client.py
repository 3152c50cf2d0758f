"""The Python client's calls about notifications, against the real handlers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mesh.errors import NotFound
from parley.chat.v1.chat_service_pb2 import (
    LeaveChatRequest,
    LeaveChatResponse,
    RemoveMemberRequest,
    RemoveMemberResponse,
)
from parley.common.v1.error_pb2 import ErrorReason
from parley.notify.v1 import notify_service_pb2 as pb
from parley_client.cli import main
from parley_client.errors import InputError, NotFoundError
from parley_client.notifications import (
    Device,
    MutedChat,
    Notifications,
    Preferences,
    PushConfig,
    QuietHours,
)
from parley_client.rest import RestClient
from tests.integration.edge.rest.conftest import token_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge.rest import RestDeps
    from tests.integration.edge.rest.conftest import ScriptedChat, ScriptedNotify, Serve

ID = "6561a0b1c2d3e4f506172839"
CHAT = "6561a0b1c2d3e4f50617283a"
STORED = pb.Device(
    id=ID,
    kind=pb.DEVICE_KIND_FCM,
    label="Ada's \x1b[2Jphone",
    created_at_ms=1_700_000_000_000,
    refreshed_at_ms=1_699_963_200_001,
)
SHOWN = Device(
    id=ID,
    kind="fcm",
    label="Ada's \x1b[2Jphone",
    created_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    refreshed_at=datetime(2023, 11, 14, 12, 0, 0, 1000, tzinfo=UTC),
)
WISHES = Preferences(
    enabled=True,
    show_preview=False,
    quiet_hours=QuietHours("22:00", "07:00", "Europe/Berlin"),
    direct_overrides=False,
    mention_overrides=True,
    email_digest=False,
    muted_chats=(MutedChat(CHAT), MutedChat(ID, datetime(2030, 1, 1, tzinfo=UTC))),
)


@pytest.fixture
async def notifications(deps: RestDeps, serve: Serve) -> AsyncIterator[Notifications]:
    async with RestClient(serve(deps)) as rest:
        rest.token = token_for("ada")
        yield Notifications(rest)


async def test_devices(notifications: Notifications, notify: ScriptedNotify) -> None:
    notify.answers |= {
        "GetPushConfig": pb.GetPushConfigResponse(kinds=[pb.DEVICE_KIND_WEB_PUSH], vapid_public_key="BK"),
        "RegisterDevice": pb.RegisterDeviceResponse(device=STORED),
        "ListDevices": pb.ListDevicesResponse(devices=[STORED]),
        "RemoveDevice": pb.RemoveDeviceResponse(),
    }
    assert await notifications.push_config() == PushConfig(("web-push",), "BK")
    keys = {"p256dh": "BP", "auth": "AA"}
    assert await notifications.register_device("web-push", "https://a.example", keys=keys) == SHOWN
    assert await notifications.register_device("fcm", "token", label="Ada's phone") == SHOWN
    assert await notifications.devices() == [SHOWN]
    await notifications.remove_device(ID)
    browser, app = notify.requests[1:3]
    assert (browser.web_push_keys.p256dh, browser.web_push_keys.auth) == ("BP", "AA")
    assert (app.kind, app.label, app.HasField("web_push_keys")) == (
        pb.DEVICE_KIND_FCM,
        "Ada's phone",
        False,
    )
    notify.answers["RemoveDevice"] = NotFound(ErrorReason.ERROR_REASON_DEVICE_NOT_FOUND, "no such device")
    with pytest.raises(NotFoundError):
        await notifications.remove_device(ID)


async def test_preferences_come_back_as_they_were_set(
    notifications: Notifications, notify: ScriptedNotify
) -> None:
    notify.answers["SetPreferences"] = pb.SetPreferencesResponse()
    await notifications.set_preferences(WISHES)
    notify.answers["GetPreferences"] = pb.GetPreferencesResponse(preferences=notify.requests[0].preferences)
    assert await notifications.preferences() == WISHES
    without = replace(WISHES, quiet_hours=None, muted_chats=())
    await notifications.set_preferences(without)
    notify.answers["GetPreferences"] = pb.GetPreferencesResponse(preferences=notify.requests[-1].preferences)
    assert await notifications.preferences() == without


async def test_members_leave_and_are_removed_whatever_they_are_called(
    deps: RestDeps, serve: Serve, chat: ScriptedChat
) -> None:
    chat.answers |= {"RemoveMember": RemoveMemberResponse(), "LeaveChat": LeaveChatResponse()}
    async with RestClient(serve(deps)) as rest:
        rest.token = token_for("ada")
        await rest.leave(CHAT)
        for member in ("bob", "me", ".", "..", "a/b?c#d", "a+b"):
            await rest.remove_member(CHAT, member)
            assert chat.requests[-1] == RemoveMemberRequest(user_id="ada", chat_id=CHAT, member_id=member)
    assert chat.requests[0] == LeaveChatRequest(user_id="ada", chat_id=CHAT)


async def test_mutings(notifications: Notifications, notify: ScriptedNotify) -> None:
    notify.answers |= {"MuteChat": pb.MuteChatResponse(), "UnmuteChat": pb.UnmuteChatResponse()}
    until = datetime(2030, 1, 1, tzinfo=UTC)
    await notifications.mute(CHAT)
    await notifications.mute(CHAT, until)
    await notifications.unmute(CHAT)
    assert notify.requests == [
        pb.MuteChatRequest(user_id="ada", chat=pb.MutedChat(chat_id=CHAT)),
        pb.MuteChatRequest(
            user_id="ada",
            chat=pb.MutedChat(chat_id=CHAT, until_ms=int(until.timestamp()) * 1000),
        ),
        pb.UnmuteChatRequest(user_id="ada", chat_id=CHAT),
    ]
    with pytest.raises(InputError, match="until"):
        await notifications.mute(CHAT, datetime(2030, 1, 1))  # noqa: DTZ001 - what is to be refused


async def test_the_command_line_lists_devices(
    deps: RestDeps, serve: Serve, notify: ScriptedNotify, capsys: pytest.CaptureFixture[str]
) -> None:
    notify.answers["ListDevices"] = pb.ListDevicesResponse(devices=[STORED])
    command = ["devices", "--as", "ada", "--token", token_for("ada"), "--url", serve(deps)]
    assert await asyncio.to_thread(main, command) == 0
    # The edge of this process logs in between.
    assert f"{ID}  fcm       2023-11-14  Ada's ·[2Jphone\n" in capsys.readouterr().out
    notify.answers["ListDevices"] = pb.ListDevicesResponse()
    assert await asyncio.to_thread(main, command) == 0
    assert "* no devices\n" in capsys.readouterr().out

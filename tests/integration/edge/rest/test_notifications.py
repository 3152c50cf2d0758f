"""Devices, preferences and the ledger over HTTP: what notify_service is asked for, and what clients see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mesh.errors import InvalidArgument, NotFound, unavailable
from parley.chat.v1 import chat_service_pb2
from parley.common.v1.error_pb2 import ErrorReason
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.edge.rest.api import OPERATIONS, Api, error_of
from tests.integration.edge.rest.conftest import token_for

if TYPE_CHECKING:
    import httpx

    from tests.integration.edge.rest.conftest import ScriptedChat, ScriptedNotify

ID = "6561a0b1c2d3e4f506172839"
CHAT = "6561a0b1c2d3e4f50617283a"
MESSAGE = "6561a0b1c2d3e4f50617283b"
SECRET_ADDRESS = "https://push.example/capability"
DEVICE = pb.Device(
    id=ID,
    user_id="ada",
    kind=pb.DEVICE_KIND_WEB_PUSH,
    address=SECRET_ADDRESS,
    label="Ada's laptop",
    created_at_ms=1_700_000_000_000,
    refreshed_at_ms=1_700_000_000_001,
)
DEVICE_JSON = {
    "id": ID,
    "kind": "web-push",
    "label": "Ada's laptop",
    "createdAt": "2023-11-14T22:13:20.000Z",
    "refreshedAt": "2023-11-14T22:13:20.001Z",
}
PREFERENCES = pb.Preferences(
    enabled=True,
    show_preview=False,
    muted_chats=[
        pb.MutedChat(chat_id=CHAT),
        pb.MutedChat(chat_id=MESSAGE, until_ms=1_900_000_000_123),
    ],
    quiet_hours=pb.QuietHours(start_minute=22 * 60, end_minute=7 * 60 + 5, time_zone="Europe/Berlin"),
    direct_overrides=True,
    mention_overrides=False,
    email_digest=True,
)
PREFERENCES_JSON: dict[str, Any] = {
    "enabled": True,
    "showPreview": False,
    "quietHours": {"start": "22:00", "end": "07:05", "timeZone": "Europe/Berlin"},
    "directOverrides": True,
    "mentionOverrides": False,
    "emailDigest": True,
    "mutedChats": [
        {"chatId": CHAT, "until": None},
        {"chatId": MESSAGE, "until": "2030-03-17T17:46:40.123Z"},
    ],
}
ENTRY = pb.LedgerEntry(
    id=ID,
    user_ids=["bob"],
    message_ids=[MESSAGE],
    chat_id=CHAT,
    device_id=ID,
    outcome=pb.OUTCOME_DELAYED,
    detail="HTTP 503",
    kind=pb.DEVICE_KIND_FCM,
    attempt=2,
    at_ms=1_700_000_000_000,
)
DECISION = pb.LedgerEntry(
    id=ID, user_ids=["bob"], message_ids=[MESSAGE], outcome=pb.OUTCOME_SUPPRESSED, detail="muted", at_ms=0
)
ENTRY_JSON = {
    "id": ID,
    "userIds": ["bob"],
    "messageIds": [MESSAGE],
    "chatId": CHAT,
    "deviceId": ID,
    "outcome": "delayed",
    "detail": "HTTP 503",
    "kind": "fcm",
    "attempt": 2,
    "at": "2023-11-14T22:13:20.000Z",
}


@pytest.fixture
def operator(client: httpx.AsyncClient) -> Api:
    return Api(client, token_for("olga", scope="openid parley.operator"))


async def test_a_browser_is_registered_by_what_it_subscribed_with(api: Api, notify: ScriptedNotify) -> None:
    notify.answers["RegisterDevice"] = pb.RegisterDeviceResponse(device=DEVICE)
    keys = {"p256dh": "BP...", "auth": "aa"}
    body = {"kind": "web-push", "address": SECRET_ADDRESS, "label": "Ada's laptop", "keys": keys}
    assert (await api.call("registerDevice", body)).json() == {"device": DEVICE_JSON}
    assert notify.requests == [
        pb.RegisterDeviceRequest(
            user_id="ada",
            kind=pb.DEVICE_KIND_WEB_PUSH,
            address=SECRET_ADDRESS,
            label="Ada's laptop",
            web_push_keys=pb.WebPushKeys(**keys),
        )
    ]


@pytest.mark.parametrize(
    ("kind", "number"),
    [("fcm", pb.DEVICE_KIND_FCM), ("apns", pb.DEVICE_KIND_APNS), ("log", pb.DEVICE_KIND_LOG)],
)
async def test_apps_are_registered_by_their_tokens(
    api: Api, notify: ScriptedNotify, kind: str, number: pb.DeviceKind.ValueType
) -> None:
    notify.answers["RegisterDevice"] = pb.RegisterDeviceResponse(device=DEVICE)
    assert (await api.call("registerDevice", {"kind": kind, "address": "t"})).status_code == 200
    assert notify.requests == [pb.RegisterDeviceRequest(user_id="ada", kind=number, address="t")]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"kind": "email", "address": "ada@example.com"}, "email devices are registered by the back end"),
        ({"kind": "webhook", "address": "https://a.example"}, "webhook devices are registered by the back"),
        ({"kind": "pigeon", "address": "t"}, "web-push, fcm, apns, log"),
        ({"kind": "unknown", "address": "t"}, "web-push, fcm, apns, log"),
        ({"address": "t"}, "kind"),
        ({"kind": "fcm"}, "address"),
        ({"kind": "fcm", "address": ""}, "address"),
        ({"kind": "fcm", "address": "t", "label": "l" * 101}, "label"),
        ({"kind": "web-push", "address": "t", "keys": {"p256dh": "x"}}, "keys"),
        ({"kind": "fcm", "token": "t"}, "token"),
        ({"kind": "fcm", "address": "t", "userId": "eve"}, "userId"),
    ],
)
async def test_what_users_cannot_register(
    api: Api, notify: ScriptedNotify, body: dict[str, Any], told: str
) -> None:
    response = await api.call("registerDevice", body)
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert told in response.json()["error"]["message"]
    assert notify.requests == []


async def test_devices_are_listed_without_their_addresses_and_removed(
    api: Api, notify: ScriptedNotify
) -> None:
    newer = pb.Device(id=MESSAGE, kind=99)  # type: ignore[arg-type]  # of a notify_service newer than this edge
    notify.answers |= {
        "ListDevices": pb.ListDevicesResponse(devices=[DEVICE, newer]),
        "RemoveDevice": pb.RemoveDeviceResponse(),
    }
    response = await api.call("listDevices")
    assert response.json()["devices"][0] == DEVICE_JSON
    assert response.json()["devices"][1]["kind"] == "unknown"
    assert SECRET_ADDRESS not in response.text
    assert (await api.call("removeDevice", deviceId=ID)).status_code == 204
    notify.answers["RemoveDevice"] = NotFound(ErrorReason.ERROR_REASON_DEVICE_NOT_FOUND, "no such device")
    assert error_of(await api.call("removeDevice", deviceId=ID)) == (404, "DEVICE_NOT_FOUND", False)
    assert error_of(await api.call("removeDevice", deviceId="x")) == (400, "INVALID_ARGUMENT", False)
    removal = pb.RemoveDeviceRequest(user_id="ada", device_id=ID)
    assert notify.requests == [pb.ListDevicesRequest(user_id="ada"), removal, removal]


async def test_the_push_config_names_what_users_can_register(api: Api, notify: ScriptedNotify) -> None:
    notify.answers["GetPushConfig"] = pb.GetPushConfigResponse(
        kinds=[pb.DEVICE_KIND_WEB_PUSH, pb.DEVICE_KIND_EMAIL, pb.DEVICE_KIND_FCM], vapid_public_key="BK"
    )
    shown = (await api.call("getPushConfig")).json()
    assert shown == {"kinds": ["web-push", "fcm"], "vapidPublicKey": "BK"}
    notify.answers["GetPushConfig"] = pb.GetPushConfigResponse()
    assert (await api.call("getPushConfig")).json() == {"kinds": [], "vapidPublicKey": None}


async def test_preferences_that_were_read_can_be_sent_back(api: Api, notify: ScriptedNotify) -> None:
    notify.answers |= {
        "GetPreferences": pb.GetPreferencesResponse(preferences=PREFERENCES),
        "SetPreferences": pb.SetPreferencesResponse(preferences=PREFERENCES),
    }
    shown = (await api.call("getNotificationPreferences")).json()["preferences"]
    assert shown == PREFERENCES_JSON
    assert (await api.call("setNotificationPreferences", shown)).json()["preferences"] == shown
    assert notify.requests == [
        pb.GetPreferencesRequest(user_id="ada"),
        pb.SetPreferencesRequest(user_id="ada", preferences=PREFERENCES),
    ]


async def test_no_quiet_hours_are_null(api: Api, notify: ScriptedNotify) -> None:
    none = pb.Preferences(enabled=True)
    notify.answers |= {"SetPreferences": pb.SetPreferencesResponse(preferences=none)}
    wanted = {**PREFERENCES_JSON, "quietHours": None, "mutedChats": []}
    answer = (await api.call("setNotificationPreferences", wanted)).json()["preferences"]
    assert answer["quietHours"] is None
    assert not notify.requests[0].preferences.HasField("quiet_hours")


@pytest.mark.parametrize("missing", PREFERENCES_JSON)
async def test_a_preference_that_is_left_out_is_not_switched_off(
    api: Api, notify: ScriptedNotify, missing: str
) -> None:
    body = {name: value for name, value in PREFERENCES_JSON.items() if name != missing}
    response = await api.call("setNotificationPreferences", body)
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert missing in response.json()["error"]["message"]
    assert notify.requests == []


@pytest.mark.parametrize(
    "change",
    [
        {"quietHours": {"start": "24:00", "end": "07:00", "timeZone": "UTC"}},
        {"quietHours": {"start": "7:00", "end": "08:00", "timeZone": "UTC"}},
        {"quietHours": {"start": "07:60", "end": "08:00", "timeZone": "UTC"}},
        {"quietHours": {"start": "07:00", "end": "08:00"}},
        {"quietHours": {"start": "07:00", "end": "08:00", "timeZone": ""}},
        {"mutedChats": [{"chatId": "x"}]},
        {"mutedChats": [{"chatId": CHAT, "until": "soon"}]},
        {"mutedChats": [{"chatId": CHAT, "until": 1_900_000_000}]},
        {"enabled": "yes"},
    ],
)
async def test_wrong_preferences(api: Api, notify: ScriptedNotify, change: dict[str, Any]) -> None:
    response = await api.call("setNotificationPreferences", {**PREFERENCES_JSON, **change})
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert notify.requests == []


@pytest.mark.parametrize(
    ("body", "until_ms"),
    [
        ({}, 0),
        ({"until": None}, 0),
        ({"until": "2030-03-17T17:46:40.123Z"}, 1_900_000_000_123),
        ({"until": "2030-03-17T18:46:40.1239+01:00"}, 1_900_000_000_123),
    ],
)
async def test_a_chat_is_muted(api: Api, notify: ScriptedNotify, body: dict[str, Any], until_ms: int) -> None:
    notify.answers["MuteChat"] = pb.MuteChatResponse()
    assert (await api.call("muteChat", body, chatId=CHAT)).status_code == 204
    muted = pb.MutedChat(chat_id=CHAT, until_ms=until_ms)
    assert notify.requests == [pb.MuteChatRequest(user_id="ada", chat=muted)]


@pytest.mark.parametrize(
    "until",
    ["", "tomorrow", "2030-03-17", "2030-03-17T17:46:40", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"],
)
async def test_what_is_no_end_of_a_muting(api: Api, notify: ScriptedNotify, until: str) -> None:
    response = await api.call("muteChat", {"until": until}, chatId=CHAT)
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert "until" in response.json()["error"]["message"]
    assert notify.requests == []


async def test_a_chat_is_heard_again(api: Api, notify: ScriptedNotify) -> None:
    notify.answers["UnmuteChat"] = pb.UnmuteChatResponse()
    assert (await api.call("unmuteChat", chatId=CHAT)).status_code == 204
    assert notify.requests == [pb.UnmuteChatRequest(user_id="ada", chat_id=CHAT)]


async def test_what_notify_service_refuses_is_told(api: Api, notify: ScriptedNotify) -> None:
    words = "address: leads to this machine"
    notify.answers["RegisterDevice"] = InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, words)
    response = await api.call("registerDevice", {"kind": "web-push", "address": "https://localhost"})
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert response.json()["error"]["message"] == words


async def test_without_notify_service_the_rest_goes_on(
    api: Api, chat: ScriptedChat, notify: ScriptedNotify
) -> None:
    notify.answers["ListDevices"] = unavailable("mongodb")
    chat.answers["ListChats"] = chat_service_pb2.ListChatsResponse()
    assert error_of(await api.call("listDevices")) == (503, "UNAVAILABLE", True)
    assert (await api.call("listChats")).status_code == 200


OPERATORS_ONLY = [
    name for name, (path, _) in OPERATIONS.items() if path.startswith("/api/v1/admin/notifications")
]


@pytest.mark.parametrize("name", OPERATORS_ONLY)
@pytest.mark.parametrize(
    "scope", [None, "", "openid", "parley.operators", "PARLEY.OPERATOR", ["parley.operator"]]
)
async def test_users_do_not_see_the_ledger(
    api: Api, notify: ScriptedNotify, name: str, scope: object
) -> None:
    claims = {} if scope is None else {"scope": scope}
    response = await api.call(
        name, query=f"?userId=ada&messageId={MESSAGE}", token=token_for("ada", **claims)
    )
    assert error_of(response) == (403, "PERMISSION_DENIED", False)
    assert "parley.operator" in response.json()["error"]["message"]
    assert notify.requests == []


async def test_operators_read_the_ledger_page_by_page(operator: Api, notify: ScriptedNotify) -> None:
    notify.answers["ListLedger"] = pb.ListLedgerResponse(entries=[ENTRY, DECISION])
    query = f"?userId=b%C3%B6b&messageId={MESSAGE}&limit=500&before={ID}"
    entry, decision = (await operator.call("listNotifications", query=query)).json()["entries"]
    assert entry == ENTRY_JSON
    assert (decision["kind"], decision["deviceId"], decision["detail"]) == (None, "", "muted")
    await operator.call("listNotifications", query="?userId=bob")
    await operator.call("listNotifications", query=f"?messageId={MESSAGE}")
    assert notify.requests == [
        pb.ListLedgerRequest(user_id="böb", message_id=MESSAGE, limit=500, before_id=ID),
        pb.ListLedgerRequest(user_id="bob"),
        pb.ListLedgerRequest(message_id=MESSAGE),
    ]


@pytest.mark.parametrize(
    "query",
    ["", "?limit=5", "?userId=", "?userId=bob&messageId=x", "?userId=bob&limit=501", "?userId=bob&before=x"],
)
async def test_a_wrong_question_to_the_ledger(operator: Api, notify: ScriptedNotify, query: str) -> None:
    response = await operator.call("listNotifications", query=query)
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert notify.requests == []


async def test_operators_are_told_why(operator: Api, notify: ScriptedNotify) -> None:
    notify.answers["ExplainNotification"] = pb.ExplainNotificationResponse(
        outcome=pb.OUTCOME_SENT,
        summary="It was sent.",
        entries=[ENTRY],
        devices=[DEVICE],
        preferences=PREFERENCES,
    )
    response = await operator.call("explainNotification", query=f"?userId=bob&messageId={MESSAGE}")
    assert response.json() == {
        "outcome": "sent",
        "summary": "It was sent.",
        "entries": [ENTRY_JSON],
        "devices": [DEVICE_JSON],
        "preferences": PREFERENCES_JSON,
    }
    notify.answers["ExplainNotification"] = pb.ExplainNotificationResponse(summary="There is no trace.")
    response = await operator.call("explainNotification", query=f"?userId=bob&messageId={MESSAGE}")
    assert response.json()["outcome"] is None
    for query in ("", "?userId=bob", f"?messageId={MESSAGE}"):
        refused = await operator.call("explainNotification", query=query)
        assert error_of(refused) == (400, "INVALID_ARGUMENT", False)
    assert len(notify.requests) == 2

"""Where a user's notifications go, and what the user wants to be told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from parley_client.declared import Json
from parley_client.rest import RestClient

_PREFERENCES: Final = "notification-preferences"


@dataclass(frozen=True, slots=True)
class Device:
    """A place that notifications go to. `kind` is `web-push`, `fcm`, `apns`, `email`, `webhook` or `log`."""

    id: str
    kind: str
    label: str
    created_at: datetime
    refreshed_at: datetime


@dataclass(frozen=True, slots=True)
class PushConfig:
    """The kinds that can be registered, and the `applicationServerKey` for browsers, None if they cannot."""

    kinds: tuple[str, ...]
    vapid_public_key: str | None


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the day when nothing is pushed, such as `22:00` to `07:00` in `Europe/Berlin`."""

    start: str
    end: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class MutedChat:
    """A chat that is kept quiet; without `until` for good."""

    chat_id: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a user wants to be told. To change something, `dataclasses.replace` it in what was read."""

    enabled: bool
    show_preview: bool
    quiet_hours: QuietHours | None
    direct_overrides: bool
    mention_overrides: bool
    email_digest: bool
    muted_chats: tuple[MutedChat, ...]


class Notifications:
    """The calls, for the user whose token `rest` has. They raise `ParleyError` by how they ended."""

    def __init__(self, rest: RestClient) -> None:
        self._rest = rest

    async def push_config(self) -> PushConfig:
        """What an app needs to know before it registers."""
        config = await self._rest.call("GET", "push-config")
        return PushConfig(tuple(config["kinds"]), config["vapidPublicKey"])

    async def devices(self) -> list[Device]:
        """The user's devices, the last refreshed first."""
        return [_device(device) for device in (await self._rest.call("GET", "devices"))["devices"]]

    async def register_device(
        self, kind: str, address: str, *, label: str = "", keys: Mapping[str, str] | None = None
    ) -> Device:
        """Registers a device, or refreshes the one with this address; apps do it each time they start.

        `keys` are those of a browser's subscription: `p256dh` and `auth`.
        """
        body: dict[str, Any] = {"kind": kind, "address": address, "label": label}
        if keys is not None:
            body["keys"] = dict(keys)
        return _device((await self._rest.call("POST", "devices", json=body))["device"])

    async def remove_device(self, device_id: str) -> None:
        """Removes a device; `NotFoundError` if the user has none with this id."""
        await self._rest.call("DELETE", f"devices/{device_id}")

    async def preferences(self) -> Preferences:
        """What the user wants to be told."""
        return _preferences((await self._rest.call("GET", _PREFERENCES))["preferences"])

    async def set_preferences(self, wanted: Preferences) -> Preferences:
        """Replaces all of it; gives what is stored."""
        stored = await self._rest.call("PUT", _PREFERENCES, json=_body(wanted))
        return _preferences(stored["preferences"])

    async def mute(self, chat_id: str, until: datetime | None = None) -> None:
        """Keeps a chat quiet, for good or until a time, which must know its time zone."""
        await self._rest.call("PUT", f"chats/{chat_id}/mute", json={"until": _time(until)})

    async def unmute(self, chat_id: str) -> None:
        """Lets a chat be heard again."""
        await self._rest.call("DELETE", f"chats/{chat_id}/mute")


def _device(data: Json) -> Device:
    return Device(
        id=data["id"],
        kind=data["kind"],
        label=data["label"],
        created_at=datetime.fromisoformat(data["createdAt"]),
        refreshed_at=datetime.fromisoformat(data["refreshedAt"]),
    )


def _preferences(data: Json) -> Preferences:
    hours = data["quietHours"]
    return Preferences(
        enabled=data["enabled"],
        show_preview=data["showPreview"],
        quiet_hours=None if hours is None else QuietHours(hours["start"], hours["end"], hours["timeZone"]),
        direct_overrides=data["directOverrides"],
        mention_overrides=data["mentionOverrides"],
        email_digest=data["emailDigest"],
        muted_chats=tuple(
            MutedChat(
                chat["chatId"], None if chat["until"] is None else datetime.fromisoformat(chat["until"])
            )
            for chat in data["mutedChats"]
        ),
    )


def _body(wanted: Preferences) -> dict[str, Any]:
    hours = wanted.quiet_hours
    return {
        "enabled": wanted.enabled,
        "showPreview": wanted.show_preview,
        "quietHours": None
        if hours is None
        else {"start": hours.start, "end": hours.end, "timeZone": hours.time_zone},
        "directOverrides": wanted.direct_overrides,
        "mentionOverrides": wanted.mention_overrides,
        "emailDigest": wanted.email_digest,
        "mutedChats": [{"chatId": chat.chat_id, "until": _time(chat.until)} for chat in wanted.muted_chats],
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

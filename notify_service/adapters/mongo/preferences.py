"""Collection `preferences`: `_id` is the user's id; what was never set is not there, and the default holds.

`enabled`, `showPreview`, `directOverrides`, `mentionOverrides`, `emailDigest`, `mutedChats[{chatId, until}]`
(`until` is null for good), `quietHours{startMinute, endMinute, timeZone}` or null.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from mesh.errors import unavailable
from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.domain.preferences import MutedChat, Preferences, QuietHours
from notify_service.ports import PreferenceStore

_DEFAULTS: Final = Preferences()
_TRIES: Final = 5


class MongoPreferenceStore(PreferenceStore):
    """A `PreferenceStore`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._preferences = mongo.collection("preferences")

    @override
    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, Preferences]:
        """The preferences of several users, in one round trip."""
        with self._mongo.guard():
            return {
                document["_id"]: _to_preferences(document)
                async for document in self._preferences.find({"_id": {"$in": list(user_ids)}})
            }

    @override
    async def replace(self, user_id: str, preferences: Preferences) -> None:
        """Stores the preferences."""
        with self._mongo.guard():
            await self._preferences.replace_one({"_id": user_id}, _to_document(preferences), upsert=True)

    @override
    async def mute(self, user_id: str, chat: MutedChat, *, keep: int, at_ms: int) -> bool:
        """Mutes one chat, and forgets mutings that are over."""
        document = _muted(chat)
        stored = await self._upsert(user_id, [{"$set": {"mutedChats": _with(document, keep, at_ms)}}])
        return document in stored["mutedChats"]

    @override
    async def unmute(self, user_id: str, chat_id: str) -> None:
        """Ends the muting of one chat."""
        with self._mongo.guard():
            await self._preferences.update_one(
                {"_id": user_id}, {"$pull": {"mutedChats": {"chatId": chat_id}}}
            )

    @override
    async def end_emails(self, user_id: str) -> None:
        """Switches the e-mail digest off."""
        await self._upsert(user_id, {"$set": {"emailDigest": False}})

    async def _upsert(self, user_id: str, change: Document | list[Document]) -> Document:
        with self._mongo.guard():
            for _ in range(_TRIES):
                # Where another upsert for a new user meets this one, there is a duplicate, or no document.
                with suppress(DuplicateKeyError):
                    stored: Document | None = await self._preferences.find_one_and_update(
                        {"_id": user_id}, change, upsert=True, return_document=ReturnDocument.AFTER
                    )
                    if stored is not None:
                        return stored
        raise unavailable("mongodb", "these preferences are changed again and again just now")


def _with(chat: Document, keep: int, at_ms: int) -> Document:
    """An expression: the muted chats without those that are over, and with this one if there is room."""
    chats = {"$ifNull": ["$mutedChats", []]}
    is_other = {"$ne": ["$$chat.chatId", {"$literal": chat["chatId"]}]}
    is_muted = {"$or": [{"$eq": ["$$chat.until", None]}, {"$gt": ["$$chat.until", to_time(at_ms)]}]}
    others = {"$filter": {"input": chats, "as": "chat", "cond": {"$and": [is_other, is_muted]}}}
    has_room = {"$lt": [{"$size": others}, keep]}
    return {"$cond": [has_room, {"$concatArrays": [others, [{"$literal": chat}]]}, chats]}


def _to_document(preferences: Preferences) -> Document:
    quiet = preferences.quiet_hours
    return {
        "enabled": preferences.enabled,
        "showPreview": preferences.show_preview,
        "directOverrides": preferences.direct_overrides,
        "mentionOverrides": preferences.mention_overrides,
        "emailDigest": preferences.email_digest,
        "mutedChats": [_muted(chat) for chat in preferences.muted_chats],
        "quietHours": None
        if quiet is None
        else {"startMinute": quiet.start_minute, "endMinute": quiet.end_minute, "timeZone": quiet.time_zone},
    }


def _to_preferences(document: Document) -> Preferences:
    quiet = document.get("quietHours")
    return Preferences(
        enabled=document.get("enabled", _DEFAULTS.enabled),
        muted_chats=tuple(map(_to_muted_chat, document.get("mutedChats", ()))),
        show_preview=document.get("showPreview", _DEFAULTS.show_preview),
        quiet_hours=quiet and QuietHours(quiet["startMinute"], quiet["endMinute"], quiet["timeZone"]),
        direct_overrides=document.get("directOverrides", _DEFAULTS.direct_overrides),
        mention_overrides=document.get("mentionOverrides", _DEFAULTS.mention_overrides),
        email_digest=document.get("emailDigest", _DEFAULTS.email_digest),
    )


def _muted(chat: MutedChat) -> Document:
    return {"chatId": chat.chat_id, "until": to_time(chat.until_ms) if chat.until_ms else None}


def _to_muted_chat(document: Document) -> MutedChat:
    until = document["until"]
    return MutedChat(document["chatId"], 0 if until is None else to_ms(until))

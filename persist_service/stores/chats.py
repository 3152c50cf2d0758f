"""Collection ``chats``. ``members`` shows the first few; all are in ``memberships``."""

import asyncio
from collections.abc import Collection as AnyOf
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from mesh.mongo import Document, Mongo
from mesh.parts import parts
from parley.common.v1.chat_pb2 import LatestMessage
from persist_service.domain.chats import (
    Chat,
    ChatState,
    ChatType,
    GroupSettings,
    Head,
    Member,
    NewGroup,
    Role,
    pair_key,
)
from persist_service.domain.log import EPOCH_JUMP, Advance
from persist_service.stores.message_types import type_from_document, type_to_document

_EMPTY_HEAD: Final = {"epoch": 1, "lastSeq": 0, "lastNumber": 0}
_HEAD_FIELDS: Final = {**dict.fromkeys(_EMPTY_HEAD, 1), "memberCount": 1}
_STATE_FIELDS: Final = dict.fromkeys(("type", "memberCount", "lastNumber", "updatedAt"), 1)
_UPDATES_AT_ONCE: Final = 32
_IDS_AT_ONCE: Final = 100  # the stand-in takes time by the square of it


class Chats:
    """Chats, without their messages."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._chats = mongo.collection("chats")

    async def create_direct(self, user_id: str, peer_id: str, now_ms: int) -> tuple[Chat, bool]:
        """The direct chat of a pair, and whether it is new. Any number of callers at once get the same.

        The unique ``pairKey`` decides a race.
        """
        own_id = ObjectId()
        key = {"pairKey": pair_key(user_id, peer_id)}
        members = [Member(user, Role.MEMBER, now_ms) for user in (user_id, peer_id)]
        new = {
            "_id": own_id,
            "type": ChatType.DIRECT.value,
            "createdBy": user_id,
            **_members_fields(members, len(members)),
            "membersVersion": 1,
            **_new_chat_fields(now_ms),
        }
        chat = await self._find_or_insert(key, new)
        return _to_chat(chat), chat["_id"] == own_id

    async def create_group(self, group: NewGroup, now_ms: int) -> Chat:
        """The chat with that id, made from ``group`` if there was none."""
        key = {"_id": ObjectId(group.chat_id)}
        new = {
            "type": ChatType.GROUP.value,
            "createdBy": group.members[0].user_id,
            "admin": group.members[0].user_id,
            "name": group.name,
            "description": group.description,
            "avatar": group.avatar,
            "settings": {"isPublic": group.is_public, "allowInvites": group.allow_invites},
            **_members_fields((), 0),
            "membersVersion": 0,
            **_new_chat_fields(now_ms),
        }
        chat = await self._find_or_insert(key, new)
        return _to_chat(chat)

    async def find(self, chat_id: str) -> Chat | None:
        """A chat."""
        with self._mongo.guard():
            chat = await self._chats.find_one({"_id": ObjectId(chat_id)})
        return None if chat is None else _to_chat(chat)

    async def find_many(self, chat_ids: AnyOf[str]) -> dict[str, Chat]:
        """Those of the chats that exist, by id."""
        with self._mongo.guard():
            found = [_to_chat(chat) async for chat in self._chats.find(_any_of(chat_ids))]
        return {chat.id: chat for chat in found}

    async def direct(self, user_id: str, peer_ids: AnyOf[str]) -> dict[str, str]:
        """The ids of the user's direct chats with those of the peers who have one, by peer."""
        peers = {pair_key(user_id, peer_id): peer_id for peer_id in peer_ids}
        with self._mongo.guard():
            found = self._chats.find({"pairKey": {"$in": list(peers)}}, {"pairKey": 1})
            return {peers[chat["pairKey"]]: str(chat["_id"]) async for chat in found}

    async def states(self, chat_ids: AnyOf[str]) -> list[ChatState]:
        """What lists go by, of those of the chats that exist."""
        ids = list(chat_ids)
        found: list[Document] = []
        with self._mongo.guard():
            for some in parts(ids, _IDS_AT_ONCE):
                found += await self._chats.find(_any_of(some), _STATE_FIELDS).to_list(None)
        return [
            ChatState(
                str(chat["_id"]),
                ChatType(chat["type"]),
                chat["memberCount"],
                chat["lastNumber"],
                int(chat["updatedAt"]),
            )
            for chat in found
        ]

    async def heads(self, chat_ids: AnyOf[str]) -> list[tuple[Head, int]]:
        """The head and the count of members of each of the chats that exists."""
        with self._mongo.guard():
            found = self._chats.find(_any_of(chat_ids), _HEAD_FIELDS)
            return [(_to_head(chat), chat["memberCount"]) async for chat in found]

    async def rebuild(self, chat_ids: AnyOf[str]) -> list[tuple[Head, int]]:
        """As ``heads``, after beginning the next epoch of each log, ``EPOCH_JUMP`` further.

        No two calls ever get the same epoch.
        An update that answers what it made, so each call gets numbers of its own.
        """
        ids = list(chat_ids)
        found: list[Document | None] = []
        with self._mongo.guard():
            for some in parts(ids, _UPDATES_AT_ONCE):
                found += await asyncio.gather(*map(self._begin_epoch, some))
        return [(_to_head(chat), chat["memberCount"]) for chat in found if chat is not None]

    async def _begin_epoch(self, chat_id: str) -> Document | None:
        chat: Document | None = await self._chats.find_one_and_update(
            {"_id": ObjectId(chat_id)},
            {"$inc": {"epoch": 1, "lastSeq": EPOCH_JUMP}},
            projection=_HEAD_FIELDS,
            return_document=ReturnDocument.AFTER,
        )
        return chat

    async def advance(self, advances: Sequence[Advance]) -> None:
        """Moves heads and latest messages, each only forward. A chat that does not exist is passed over.

        ``$max`` and a filter on ``seq`` make it right in any order of batches.
        """
        writes: list[UpdateOne] = []
        for advance in advances:
            head = advance.head
            chat = {"_id": ObjectId(head.chat_id)}
            forward = {
                "lastSeq": head.seq,
                "lastNumber": head.number,
                "epoch": head.epoch,
                "updatedAt": DatetimeMS(advance.updated_at_ms),
            }
            writes.append(UpdateOne(chat, {"$max": forward}))
            if advance.latest is not None:
                # "not >=" rather than "<": it also holds when there is no latest message yet.
                older = {**chat, "latestMessage.seq": {"$not": {"$gte": advance.latest.seq}}}
                writes.append(UpdateOne(older, {"$set": {"latestMessage": _latest_document(advance.latest)}}))
        if writes:
            with self._mongo.guard():
                await self._chats.bulk_write(writes, ordered=False)

    async def set_members(
        self, chat: Chat, members: Sequence[Member], count: int, owner_id: str, now_ms: int
    ) -> Chat | None:
        """Replaces what a group says of its members; None when another did so since ``chat`` was read.

        ``membersVersion`` is the optimistic lock.
        """
        key = {"_id": ObjectId(chat.id), "membersVersion": chat.members_version}
        changed = {**_members_fields(members, count), "admin": owner_id}
        return await self._change(key, {"$set": changed}, now_ms)

    async def change_member_count(self, chat_id: str, change: int, now_ms: int) -> Chat | None:
        """Adds ``change`` to the count, which is not repeatable; None when the chat does not exist."""
        return await self._change({"_id": ObjectId(chat_id)}, {"$inc": {"memberCount": change}}, now_ms)

    async def _find_or_insert(self, key: Document, new: Document) -> Document:
        with self._mongo.guard():
            with suppress(DuplicateKeyError):  # another call inserted it in this moment
                await self._chats.update_one(key, {"$setOnInsert": new}, upsert=True)
            chat = await self._chats.find_one(key)
        if chat is None:
            raise LookupError("a chat went away while it was made")
        return chat

    async def _change(self, key: Document, update: Document, now_ms: int) -> Chat | None:
        update["$inc"] = {**update.get("$inc", {}), "membersVersion": 1}
        update["$max"] = {"updatedAt": DatetimeMS(now_ms)}
        with self._mongo.guard():
            chat: Document | None = await self._chats.find_one_and_update(
                key, update, return_document=ReturnDocument.AFTER
            )
        return None if chat is None else _to_chat(chat)


def _any_of(chat_ids: AnyOf[str]) -> Document:
    return {"_id": {"$in": [ObjectId(chat_id) for chat_id in chat_ids]}}


def _new_chat_fields(now_ms: int) -> Document:
    return {"createdAt": DatetimeMS(now_ms), "updatedAt": DatetimeMS(now_ms), **_EMPTY_HEAD}


def _members_fields(members: Sequence[Member], count: int) -> Document:
    return {
        "members": [
            {
                "userId": member.user_id,
                "role": member.role.value,
                "joinedAt": DatetimeMS(member.joined_at_ms),
            }
            for member in members
        ],
        "memberCount": count,
    }


def _latest_document(latest: LatestMessage) -> Document:
    return {
        "text": latest.text,
        "sender": latest.sender_id,
        "timestamp": DatetimeMS(latest.timestamp_ms),
        "seq": latest.seq,
        "type": type_to_document(latest.type),
    }


def _to_latest(latest: Document) -> LatestMessage:
    return LatestMessage(
        text=latest["text"],
        sender_id=latest["sender"],
        timestamp_ms=int(latest["timestamp"]),
        seq=latest["seq"],
        type=type_from_document(latest["type"]),
    )


def _to_head(chat: Document) -> Head:
    return Head(str(chat["_id"]), chat["epoch"], chat["lastSeq"], chat["lastNumber"])


def _to_chat(chat: Document) -> Chat:
    latest, settings = chat.get("latestMessage"), chat.get("settings")
    return Chat(
        id=str(chat["_id"]),
        type=ChatType(chat["type"]),
        members=tuple(
            Member(member["userId"], Role(member["role"]), int(member["joinedAt"]))
            for member in chat["members"]
        ),
        member_count=chat["memberCount"],
        created_by=chat["createdBy"],
        owner_id=chat.get("admin", ""),
        created_at_ms=int(chat["createdAt"]),
        updated_at_ms=int(chat["updatedAt"]),
        head=_to_head(chat),
        members_version=chat["membersVersion"],
        latest_message=latest and _to_latest(latest),
        name=chat.get("name", ""),
        description=chat.get("description", ""),
        avatar=chat.get("avatar", ""),
        settings=settings and GroupSettings(settings["isPublic"], settings["allowInvites"]),
    )

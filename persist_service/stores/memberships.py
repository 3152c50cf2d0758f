"""Collection ``memberships``: one document per member and chat, with the member's pointers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Collection as AnyOf

from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, UpdateOne
from pymongo.errors import BulkWriteError

from mesh.mongo import Document, Mongo
from persist_service.domain.chats import Member, MemberPlace, Membership, Role
from persist_service.domain.pointers import Pointer
from persist_service.stores.bulk import duplicates

_CHAT, _USER = 0, 1  # places in a question
_KEY = ("chatId", "userId")
_JOINING = [("joinedAt", ASCENDING), ("_id", ASCENDING)]
_OWN_FIELDS = dict.fromkeys(("chatId", "role", "readSeq", "readNumber", "deliveredSeq"), 1)


class Memberships:
    """Who is a member of what, and how far."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._memberships = mongo.collection("memberships")

    async def add(
        self, chat_id: str, members: Sequence[Member], *, read_number: int = 0, added_by_id: str = ""
    ) -> list[Member]:
        """Adds those who are no members yet and returns them.

        Messages up to ``read_number`` do not count as unread for them, and not as read by them either. With
        ``added_by_id`` the others among them were ``added_unread``.
        """
        chat = ObjectId(chat_id)
        writes = [
            UpdateOne(
                {"chatId": chat, "userId": member.user_id},
                {"$setOnInsert": _new_membership(member, read_number, added_by_id)},
                upsert=True,
            )
            for member in members
        ]
        with self._mongo.guard():
            try:
                upserted = (await self._memberships.bulk_write(writes, ordered=False)).upserted_ids or {}
            except BulkWriteError as error:
                duplicates(error)  # another call added the same member in this moment
                upserted = {new["index"]: new["_id"] for new in error.details["upserted"]}
        return [members[place] for place in sorted(upserted)]

    async def added_unread(self, user_ids: AnyOf[str]) -> dict[str, int]:
        """In how many chats that others added them to users have read nothing; who has none is left out.

        One aggregation over the index of just these memberships.
        """
        pipeline: list[Document] = [
            {"$match": {"userId": {"$in": list(user_ids)}, "addedUnread": True}},
            {"$group": {"_id": "$userId", "count": {"$sum": 1}}},
        ]
        with self._mongo.guard():
            return {found["_id"]: found["count"] async for found in self._memberships.aggregate(pipeline)}

    async def remove(self, chat_id: str, user_id: str) -> bool:
        """Removes a member; False when there was none."""
        with self._mongo.guard():
            result = await self._memberships.delete_one({"chatId": ObjectId(chat_id), "userId": user_id})
        return result.deleted_count > 0

    async def set_role(self, chat_id: str, user_id: str, role: Role) -> bool:
        """Gives a member a role; False when the user is no member."""
        with self._mongo.guard():
            result = await self._memberships.update_one(
                {"chatId": ObjectId(chat_id), "userId": user_id}, {"$set": {"role": role.value}}
            )
        return result.matched_count > 0

    async def find_many(self, questions: Sequence[tuple[str, str]]) -> list[Membership]:
        """The membership for each ``(chat_id, user_id)``, in order; with role NONE where there is none.

        One query per chat or per user, whichever are fewer.
        """
        by_chat = len({chat for chat, _ in questions}) <= len({user for _, user in questions})
        one, many = (_CHAT, _USER) if by_chat else (_USER, _CHAT)
        groups: dict[ObjectId | str, list[ObjectId | str]] = {}
        for chat_id, user_id in set(questions):
            pair = (ObjectId(chat_id), user_id)
            groups.setdefault(pair[one], []).append(pair[many])
        with self._mongo.guard():
            pages = await asyncio.gather(
                *(
                    self._memberships.find({_KEY[one]: key, _KEY[many]: {"$in": others}}).to_list(None)
                    for key, others in groups.items()
                )
            )
        known = {(str(m["chatId"]), m["userId"]): _to_membership(m) for page in pages for m in page}
        return [known.get(question) or Membership(question[0], Role.NONE) for question in questions]

    async def has_admin(self, chat_id: str, *, besides: str = "") -> bool:
        """Whether the chat has an admin other than ``besides``."""
        query = {"chatId": ObjectId(chat_id), "role": Role.ADMIN.value, "userId": {"$ne": besides}}
        with self._mongo.guard():
            return await self._memberships.find_one(query, {"_id": 1}) is not None

    async def first(self, chat_id: str, limit: int) -> list[Member]:
        """The first members by joining.

        MongoDB reads ``limit`` index keys; its stand-in reads the whole chat.
        """
        members, _ = await self.page(chat_id, limit)
        return members

    async def page(
        self, chat_id: str, limit: int, *, after: MemberPlace | None = None, role: Role | None = None
    ) -> tuple[list[Member], MemberPlace | None]:
        """Up to ``limit`` members by joining, those with ``role`` alone, and where the next page begins.

        An index has the members of a chat, and those of a role, in this order.
        """
        query: Document = {"chatId": ObjectId(chat_id)}
        if role is not None:
            query["role"] = role.value
        if after is not None:
            at, key = DatetimeMS(after.joined_at_ms), ObjectId(after.membership_id)
            query["$or"] = [{"joinedAt": {"$gt": at}}, {"joinedAt": at, "_id": {"$gt": key}}]
        with self._mongo.guard():
            found = await self._memberships.find(query).sort(_JOINING).limit(limit + 1).to_list(None)
        members = [Member(m["userId"], Role(m["role"]), int(m["joinedAt"])) for m in found[:limit]]
        if len(found) <= limit:
            return members, None
        last = found[limit - 1]
        return members, MemberPlace(int(last["joinedAt"]), str(last["_id"]))

    async def count(self, chat_id: str) -> int:
        """How many members there are. Takes time in proportion to that."""
        with self._mongo.guard():
            return await self._memberships.count_documents({"chatId": ObjectId(chat_id)})

    async def user_ids(self, chat_id: str, page: int) -> AsyncIterator[list[str]]:
        """All members' ids in pages. One pass of one cursor."""
        users: list[str] = []
        with self._mongo.guard():
            found = self._memberships.find({"chatId": ObjectId(chat_id)}, {"_id": 0, "userId": 1})
            async for membership in found.batch_size(page):
                users.append(membership["userId"])
                if len(users) == page:
                    yield users
                    users = []
        if users:
            yield users

    async def user_ids_of(self, chat_ids: AnyOf[str]) -> dict[str, list[str]]:
        """All members' ids of each chat. For chats that are known to be small. One query."""
        users: dict[str, list[str]] = {chat_id: [] for chat_id in chat_ids}
        if users:
            query = {"chatId": {"$in": list(map(ObjectId, users))}}
            with self._mongo.guard():
                found = self._memberships.find(query, {"_id": 0, "chatId": 1, "userId": 1})
                async for membership in found:
                    users[str(membership["chatId"])].append(membership["userId"])
        return users

    async def of_user(self, user_id: str) -> list[Membership]:
        """A user's memberships."""
        with self._mongo.guard():
            found = await self._memberships.find({"userId": user_id}, _OWN_FIELDS).to_list(None)
        return list(map(_to_membership, found))

    async def pointers(self, chat_id: str, limit: int) -> list[Pointer]:
        """The pointers of the first members by joining."""
        with self._mongo.guard():
            found = self._memberships.find({"chatId": ObjectId(chat_id)}).sort(_JOINING).limit(limit)
            return [_to_pointer(m) async for m in found]

    async def advance(self, pointers: Sequence[Pointer]) -> None:
        """Moves pointers, each only forward. Who is no member is passed over.

        A number without a position counts messages as not unread, and as not read either.
        ``$max`` and a filter on ``readSeq`` make it right in any order of batches.
        """
        writes: list[UpdateOne] = []
        for pointer in pointers:
            member = {"chatId": ObjectId(pointer.chat_id), "userId": pointer.user_id}
            delivered = max(pointer.delivered_seq, pointer.read_seq)  # what was read has arrived
            if pointer.read_seq:
                read = {"readSeq": pointer.read_seq, "readAt": DatetimeMS(pointer.at_ms)}
                writes.append(
                    UpdateOne(
                        {**member, "readSeq": {"$lt": pointer.read_seq}},
                        {
                            "$set": read,
                            "$unset": {"addedUnread": ""},
                            "$max": {"readNumber": pointer.read_number, "deliveredSeq": delivered},
                        },
                    )
                )
            elif pointer.read_number:
                writes.append(UpdateOne(member, {"$max": {"readNumber": pointer.read_number}}))
            if pointer.delivered_seq > pointer.read_seq:
                writes.append(UpdateOne(member, {"$max": {"deliveredSeq": delivered}}))
        if writes:
            with self._mongo.guard():
                await self._memberships.bulk_write(writes, ordered=False)

    async def unread_totals(self, without: Mapping[str, AnyOf[str]]) -> dict[str, int]:
        """How many messages are after the read pointers of those of the users who have chats.

        In all their chats, but for those that are named with the user.
        One aggregation; the counts of chats are looked up by their ids.
        """
        everywhere = [user_id for user_id, chats in without.items() if not chats]
        choices: list[Document] = [{"userId": {"$in": everywhere}}] if everywhere else []
        choices += [
            {"userId": user_id, "chatId": {"$nin": [ObjectId(chat) for chat in chats]}}
            for user_id, chats in without.items()
            if chats
        ]
        unread = {"$subtract": ["$chat.lastNumber", "$readNumber"]}
        pipeline: list[Document] = [
            {"$match": choices[0] if len(choices) == 1 else {"$or": choices}},
            {"$lookup": {"from": "chats", "localField": "chatId", "foreignField": "_id", "as": "chat"}},
            {"$unwind": "$chat"},
            # A pointer that was moved for a message may be ahead of the chat for a moment.
            {"$group": {"_id": "$userId", "total": {"$sum": {"$max": [0, unread]}}}},
        ]
        with self._mongo.guard():
            return {found["_id"]: found["total"] async for found in self._memberships.aggregate(pipeline)}


def _new_membership(member: Member, read_number: int, added_by_id: str) -> Document:
    added_unread = {"addedUnread": True} if added_by_id not in {"", member.user_id} else {}
    return {
        **added_unread,
        "_id": ObjectId(),
        "role": member.role.value,
        "joinedAt": DatetimeMS(member.joined_at_ms),
        "readSeq": 0,
        "readNumber": read_number,
        "readAt": None,
        "deliveredSeq": 0,
        "muted": False,
    }


def _to_membership(membership: Document) -> Membership:
    return Membership(
        str(membership["chatId"]),
        Role(membership["role"]),
        membership["readSeq"],
        membership["readNumber"],
        membership["deliveredSeq"],
    )


def _to_pointer(membership: Document) -> Pointer:
    return Pointer(
        str(membership["chatId"]),
        membership["userId"],
        read_seq=membership["readSeq"],
        read_number=membership["readNumber"],
        delivered_seq=membership["deliveredSeq"],
        at_ms=int(membership["readAt"] or 0),
    )

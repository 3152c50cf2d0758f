"""``/chats/{chatId}/members``: who is in a group."""

from edge.protocol.shapes import group_json, member_json
from edge.rest.bodies import AddMembersBody, MembersAddedAnswer, MembersAnswer
from edge.rest.handler import RestHandler
from edge.rest.parameters import chat_id, cursor, page_limit, role, user_id
from parley.chat.v1.chat_service_pb2 import (
    AddMembersRequest,
    LeaveChatRequest,
    ListMembersRequest,
    RemoveMemberRequest,
)


class _Removing(RestHandler):
    async def remove(self, chat: str, member: str) -> None:
        """Removes a member; one who is none is left as is."""
        await self.deps.chat.RemoveMember(
            RemoveMemberRequest(user_id=self.user_id, chat_id=chat_id(chat), member_id=user_id(member))
        )
        self.answer_nothing()


class MembersHandler(_Removing):
    """``/chats/{chatId}/members``."""

    async def get(self, chat: str) -> None:
        """A page of the members, in the order of joining."""
        found = await self.deps.chat.ListMembers(
            ListMembersRequest(
                user_id=self.user_id,
                chat_id=chat_id(chat),
                role=role(self.get_query_argument("role", None)),
                limit=page_limit(self.get_query_argument("limit", None)),
                cursor=cursor(self.get_query_argument("cursor", None)),
            )
        )
        members = [member_json(member) for member in found.members]
        self.answer(MembersAnswer(members=members, next_cursor=found.next_cursor or None))

    async def post(self, chat: str) -> None:
        """Adds members; those who are members already stay as they are."""
        group_id = chat_id(chat)
        body = self.body(AddMembersBody)
        added = await self.deps.chat.AddMembers(
            AddMembersRequest(user_id=self.user_id, chat_id=group_id, member_ids=body.user_ids)
        )
        self.answer(MembersAddedAnswer(group=group_json(added.chat), added_ids=list(added.added_ids)))

    async def delete(self, chat: str) -> None:
        """Removes the member that the query string names: any user, also one called ``me`` or ``..``."""
        await self.remove(chat, self.query("userId") or "")


class MemberHandler(_Removing):
    """``/chats/{chatId}/members/{userId}``."""

    async def delete(self, chat: str, member: str) -> None:
        """Removes the member that the path names."""
        await self.remove(chat, member)


class OwnMembershipHandler(RestHandler):
    """``/chats/{chatId}/members/me``."""

    async def delete(self, chat: str) -> None:
        """Leaves the group."""
        await self.deps.chat.LeaveChat(LeaveChatRequest(user_id=self.user_id, chat_id=chat_id(chat)))
        self.answer_nothing()

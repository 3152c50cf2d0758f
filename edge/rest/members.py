"""``/chats/{chatId}/members``: who is in a group."""

from http import HTTPStatus
from typing import Final

from edge.protocol.chats import group_json
from edge.rest.bodies import AddMembersBody, MembersAddedAnswer, MembersAnswer
from edge.rest.handler import RestHandler
from edge.rest.operation import Operation, Parameter
from edge.rest.parameters import CHAT, CURSOR, LIMIT, USER_ID, one_of
from parley.chat.v1.chat_service_pb2 import (
    AddMembersRequest,
    LeaveChatRequest,
    ListMembersRequest,
    RemoveMemberRequest,
)
from parley.common.v1.chat_pb2 import Role
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1.conversions import member_from_pb

_ROLE: Final = Parameter(
    "role",
    "Only the members with this role.",
    one_of({"admin": Role.ROLE_ADMIN, "member": Role.ROLE_MEMBER}),
    default=Role.ROLE_UNSPECIFIED,
)
_MEMBER: Final = Parameter("userId", "The member, percent-encoded.", USER_ID, in_path=True)
_MEMBER_IN_QUERY: Final = Parameter("userId", "The member, percent-encoded (`+` is a space).", USER_ID)
_REMOVAL_ERRORS: Final = (
    ErrorReason.ERROR_REASON_NOT_A_MEMBER,
    ErrorReason.ERROR_REASON_NOT_AN_ADMIN,
    ErrorReason.ERROR_REASON_WRONG_CHAT_TYPE,
    ErrorReason.ERROR_REASON_LAST_ADMIN,
)


class _RemovalHandler(RestHandler):
    async def remove(self, member: Parameter[str]) -> None:
        """Removes a member; one who is none is left as is."""
        await self.deps.chat.RemoveMember(
            RemoveMemberRequest(user_id=self.user_id, chat_id=self.value(CHAT), member_id=self.value(member))
        )
        self.answer_nothing()


class MembersHandler(_RemovalHandler):
    """The members of a chat."""

    path = "/api/v1/chats/{chatId}/members"
    operations = (
        Operation(
            method="GET",
            name="listMembers",
            summary="A page of the members of a chat, in the order of joining",
            parameters=(CHAT, _ROLE, LIMIT, CURSOR),
            answers={HTTPStatus.OK: MembersAnswer},
            errors=(ErrorReason.ERROR_REASON_NOT_A_MEMBER,),
        ),
        Operation(
            method="POST",
            name="addMembers",
            summary="Add members to a group; those who are members already stay as they are",
            parameters=(CHAT,),
            body=AddMembersBody,
            answers={HTTPStatus.OK: MembersAddedAnswer},
            errors=(
                ErrorReason.ERROR_REASON_NOT_A_MEMBER,
                ErrorReason.ERROR_REASON_NOT_AN_ADMIN,
                ErrorReason.ERROR_REASON_WRONG_CHAT_TYPE,
                ErrorReason.ERROR_REASON_CHAT_FULL,
                ErrorReason.ERROR_REASON_TOO_MANY_GROUPS,
            ),
        ),
        Operation(
            method="DELETE",
            name="removeMemberById",
            summary="Remove a member from a group, whatever its id is; takes an admin. In a path, "
            "libraries and proxies turn `%6De` into `me`, which leaves the group, resolve `.` and `..`, "
            "and cut at `%2F`",
            parameters=(CHAT, _MEMBER_IN_QUERY),
            answers={HTTPStatus.NO_CONTENT: None},
            errors=_REMOVAL_ERRORS,
        ),
    )

    async def get(self) -> None:
        """Lists the members."""
        found = await self.deps.chat.ListMembers(
            ListMembersRequest(
                user_id=self.user_id,
                chat_id=self.value(CHAT),
                role=self.value(_ROLE),
                limit=self.value(LIMIT),
                cursor=self.value(CURSOR),
            )
        )
        members = [member_from_pb(member) for member in found.members]
        self.answer(MembersAnswer(members=members, next_cursor=found.next_cursor or None))

    async def post(self) -> None:
        """Adds members."""
        chat_id = self.value(CHAT)
        body = self.body(AddMembersBody)
        added = await self.deps.chat.AddMembers(
            AddMembersRequest(user_id=self.user_id, chat_id=chat_id, member_ids=body.user_ids)
        )
        self.answer(MembersAddedAnswer(group=group_json(added.chat), added_ids=list(added.added_ids)))

    async def delete(self) -> None:
        """Removes the member that the query string names: any user, also one called ``me`` or ``..``."""
        await self.remove(_MEMBER_IN_QUERY)


class OwnMembershipHandler(RestHandler):
    """The user's own membership. A user who is really called "me" is named in the query of "members"."""

    path = "/api/v1/chats/{chatId}/members/me"
    operations = (
        Operation(
            method="DELETE",
            name="leaveChat",
            summary="Leave a group",
            parameters=(CHAT,),
            answers={HTTPStatus.NO_CONTENT: None},
            errors=(
                ErrorReason.ERROR_REASON_NOT_A_MEMBER,
                ErrorReason.ERROR_REASON_WRONG_CHAT_TYPE,
                ErrorReason.ERROR_REASON_LAST_ADMIN,
            ),
        ),
    )

    async def delete(self) -> None:
        """Leaves the group."""
        await self.deps.chat.LeaveChat(LeaveChatRequest(user_id=self.user_id, chat_id=self.value(CHAT)))
        self.answer_nothing()


class MemberHandler(_RemovalHandler):
    """One member of a chat."""

    path = "/api/v1/chats/{chatId}/members/{userId}"
    operations = (
        Operation(
            method="DELETE",
            name="removeMember",
            summary="Remove a member from a group; takes an admin. Not for every id: see `removeMemberById`",
            parameters=(CHAT, _MEMBER),
            answers={HTTPStatus.NO_CONTENT: None},
            errors=_REMOVAL_ERRORS,
        ),
    )

    async def delete(self) -> None:
        """Removes the member that the path names."""
        await self.remove(_MEMBER)

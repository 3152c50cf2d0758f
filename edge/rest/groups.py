"""``/groups``: making groups. Once made, a group is a chat like others."""

from http import HTTPStatus

from edge.protocol.chats import group_json
from edge.rest.bodies import CreateGroupBody, GroupAnswer
from edge.rest.handler import RestHandler
from edge.rest.operation import Operation
from parley.chat.v1.chat_service_pb2 import CreateGroupRequest
from parley.common.v1.chat_pb2 import GroupSettings
from parley.common.v1.error_pb2 import ErrorReason


class GroupsHandler(RestHandler):
    """Groups."""

    path = "/api/v1/groups"
    operations = (
        Operation(
            method="POST",
            name="createGroup",
            summary="Make a group; a repeat makes another one",
            body=CreateGroupBody,
            answers={HTTPStatus.CREATED: GroupAnswer},
            errors=(ErrorReason.ERROR_REASON_TOO_MANY_GROUPS,),
            idempotent=False,
        ),
    )

    async def post(self) -> None:
        """Makes a group, with the user as its first admin."""
        body = self.body(CreateGroupBody)
        made = await self.deps.chat.CreateGroup(
            CreateGroupRequest(
                user_id=self.user_id,
                name=body.name,
                description=body.description,
                member_ids=body.member_ids,
                avatar=body.avatar,
                settings=GroupSettings(
                    is_public=body.settings.is_public, allow_invites=body.settings.allow_invites
                ),
            )
        )
        self.answer(GroupAnswer(group=group_json(made.chat)), HTTPStatus.CREATED)

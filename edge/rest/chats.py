"""``/chats``: the user's chats, direct chats, one chat."""

from http import HTTPStatus

from edge.protocol.chats import chat_json
from edge.rest.bodies import ChatAnswer, ChatsAnswer, CreateChatBody
from edge.rest.handler import RestHandler
from edge.rest.operation import Operation
from edge.rest.parameters import CHAT, CURSOR, LIMIT
from parley.chat.v1.chat_service_pb2 import CreateDirectChatRequest, GetChatRequest, ListChatsRequest
from parley.common.v1.error_pb2 import ErrorReason


class ChatsHandler(RestHandler):
    """The user's chats."""

    path = "/api/v1/chats"
    operations = (
        Operation(
            method="GET",
            name="listChats",
            summary="A page of the user's chats, the last changed first",
            parameters=(LIMIT, CURSOR),
            answers={HTTPStatus.OK: ChatsAnswer},
        ),
        Operation(
            method="POST",
            name="createChat",
            summary="Make the direct chat with a user (201), or find it (200); there is one per pair",
            body=CreateChatBody,
            answers={HTTPStatus.OK: ChatAnswer, HTTPStatus.CREATED: ChatAnswer},
        ),
    )

    async def get(self) -> None:
        """Lists the chats."""
        found = await self.deps.chat.ListChats(
            ListChatsRequest(user_id=self.user_id, limit=self.value(LIMIT), cursor=self.value(CURSOR))
        )
        chats = [chat_json(chat) for chat in found.chats]
        self.answer(ChatsAnswer(chats=chats, next_cursor=found.next_cursor or None))

    async def post(self) -> None:
        """Makes the direct chat, or finds it."""
        body = self.body(CreateChatBody)
        made = await self.deps.chat.CreateDirectChat(
            CreateDirectChatRequest(user_id=self.user_id, peer_id=body.user_id)
        )
        status = HTTPStatus.CREATED if made.created else HTTPStatus.OK
        self.answer(ChatAnswer(chat=chat_json(made.chat)), status)


class ChatHandler(RestHandler):
    """One chat."""

    path = "/api/v1/chats/{chatId}"
    operations = (
        Operation(
            method="GET",
            name="getChat",
            summary="One chat",
            parameters=(CHAT,),
            answers={HTTPStatus.OK: ChatAnswer},
            errors=(ErrorReason.ERROR_REASON_NOT_A_MEMBER,),
        ),
    )

    async def get(self) -> None:
        """Shows the chat as the user sees it."""
        found = await self.deps.chat.GetChat(GetChatRequest(user_id=self.user_id, chat_id=self.value(CHAT)))
        self.answer(ChatAnswer(chat=chat_json(found.chat)))

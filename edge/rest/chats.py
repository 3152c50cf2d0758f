"""``/chats``: the user's chats, direct chats, one chat."""

from http import HTTPStatus

from edge.protocol.shapes import chat_json
from edge.rest.bodies import ChatAnswer, ChatsAnswer, CreateChatBody
from edge.rest.handler import RestHandler
from edge.rest.parameters import chat_id, cursor, page_limit
from parley.chat.v1.chat_service_pb2 import CreateDirectChatRequest, GetChatRequest, ListChatsRequest


class ChatsHandler(RestHandler):
    """``/chats``."""

    async def get(self) -> None:
        """A page of the user's chats, the last changed first."""
        found = await self.deps.chat.ListChats(
            ListChatsRequest(
                user_id=self.user_id,
                limit=page_limit(self.get_query_argument("limit", None)),
                cursor=cursor(self.get_query_argument("cursor", None)),
            )
        )
        chats = [chat_json(chat) for chat in found.chats]
        self.answer(ChatsAnswer(chats=chats, next_cursor=found.next_cursor or None))

    async def post(self) -> None:
        """The direct chat with a user: 201 when it is new, 200 when it was there."""
        body = self.body(CreateChatBody)
        made = await self.deps.chat.CreateDirectChat(
            CreateDirectChatRequest(user_id=self.user_id, peer_id=body.user_id)
        )
        status = HTTPStatus.CREATED if made.created else HTTPStatus.OK
        self.answer(ChatAnswer(chat=chat_json(made.chat)), status)


class ChatHandler(RestHandler):
    """``/chats/{chatId}``."""

    async def get(self, chat: str) -> None:
        """One chat, as the user sees it."""
        found = await self.deps.chat.GetChat(GetChatRequest(user_id=self.user_id, chat_id=chat_id(chat)))
        self.answer(ChatAnswer(chat=chat_json(found.chat)))

"""``/chats/{chatId}/messages``: the history. Messages are sent over the WebSocket."""

from edge.protocol.shapes import message_json
from edge.rest.bodies import MessagesAnswer
from edge.rest.handler import RestHandler
from edge.rest.parameters import chat_id, history_page
from parley.chat.v1.chat_service_pb2 import ListMessagesRequest


class MessagesHandler(RestHandler):
    """``/chats/{chatId}/messages``."""

    async def get(self, chat: str) -> None:
        """A page of history, the oldest first."""
        page = history_page(
            self.query("limit"),
            self.query("before"),
            self.query("page"),
        )
        found = await self.deps.chat.ListMessages(
            ListMessagesRequest(
                user_id=self.user_id,
                chat_id=chat_id(chat),
                limit=page.limit,
                before_seq=page.before_seq,
                page=page.page,
            )
        )
        messages = [message_json(message) for message in found.messages]
        self.answer(MessagesAnswer(messages=messages, has_more=found.has_more))

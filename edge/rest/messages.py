"""``/chats/{chatId}/messages``: the history. Messages are sent over the WebSocket."""

from http import HTTPStatus
from typing import Final

from contract import limits
from edge.rest.bodies import MessagesAnswer
from edge.rest.errors import invalid
from edge.rest.handler import RestHandler
from edge.rest.operation import Operation, Parameter
from edge.rest.parameters import CHAT, LIMIT, number
from parley.chat.v1.chat_service_pb2 import ListMessagesRequest
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1.conversions import message_from_pb

MAX_SEQ: Final = 2**53 - 1  # what a JavaScript number holds exactly

# 0 is what chat_service takes for "not asked for".
_BEFORE: Final = Parameter(
    "before",
    "Messages with a smaller `seq` only: the first `seq` of the page before this one.",
    number(MAX_SEQ),
    default=0,
)
_PAGE: Final = Parameter(
    "page",
    "Page counted from the newest message, instead of `before`. Pages shift when messages arrive.",
    number(limits.PAGES),
    default=0,
)


class MessagesHandler(RestHandler):
    """The history of a chat."""

    path = "/api/v1/chats/{chatId}/messages"
    operations = (
        Operation(
            method="GET",
            name="listMessages",
            summary="A page of history, the oldest message first",
            parameters=(CHAT, LIMIT, _BEFORE, _PAGE),
            answers={HTTPStatus.OK: MessagesAnswer},
            errors=(ErrorReason.ERROR_REASON_NOT_A_MEMBER,),
        ),
    )

    async def get(self) -> None:
        """Shows a page of history."""
        before, page = self.value(_BEFORE), self.value(_PAGE)
        if before and page:
            raise invalid("give before or page, not both")
        found = await self.deps.chat.ListMessages(
            ListMessagesRequest(
                user_id=self.user_id,
                chat_id=self.value(CHAT),
                limit=self.value(LIMIT),
                before_seq=before,
                page=page,
            )
        )
        messages = [message_from_pb(message) for message in found.messages]
        self.answer(MessagesAnswer(messages=messages, has_more=found.has_more))

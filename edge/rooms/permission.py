"""Whether a user may join chats, asked before this edge subscribes to anything for it."""

from collections.abc import Iterable

from contract import limits
from edge.pubsub.channels import Channels, chat_channel
from mesh.errors import ParleyError, from_item_error
from parley.chat.v1.chat_service_pb2 import JoinChatsRequest
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub


class JoinPermission:
    """Asks about the chats that this edge does not hear yet. For the others a subscription costs nothing.

    It is a first answer, by which nothing is joined: one who is removed right after is found out by the call
    that follows the subscription.
    """

    def __init__(self, channels: Channels, chats: ChatServiceStub) -> None:
        self._channels = channels
        self._chats = chats

    async def refusals(self, user_id: str, chat_ids: Iterable[str]) -> dict[str, ParleyError]:
        """The chats that the user may not join, and why.

        Raises:
            ParleyError: the user names too many, or chat_service cannot be reached.
        """
        unheard = [chat_id for chat_id in chat_ids if not self._channels.has(chat_channel(chat_id))]
        refused: dict[str, ParleyError] = {}
        for start in range(0, len(unheard), limits.CHATS_PER_CALL):
            some = unheard[start : start + limits.CHATS_PER_CALL]
            request = JoinChatsRequest(user_id=user_id, chat_ids=some, by_user=True)
            response = await self._chats.JoinChats(request)
            for chat_id, result in zip(some, response.results, strict=True):
                if result.WhichOneof("outcome") != "head":
                    refused[chat_id] = from_item_error(result.error)
        return refused

"""Whether a user may join chats, asked before this edge subscribes to anything for it."""

from collections.abc import AsyncIterator, Iterable, Sequence

from contract import limits
from edge.pubsub.channels import Channels, chat_channel
from mesh.errors import ParleyError, from_item_error
from mesh.parts import parts
from parley.chat.v1.chat_service_pb2 import JoinChatsRequest, JoinResult
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
        async for chat_id, result in join_results(self._chats, user_id, unheard, by_user=True):
            if result.WhichOneof("outcome") != "head":
                refused[chat_id] = from_item_error(result.error)
        return refused


async def join_results(
    chats: ChatServiceStub, user_id: str, chat_ids: Sequence[str], *, by_user: bool
) -> AsyncIterator[tuple[str, JoinResult]]:
    """What chat_service answers about each chat, however many they are; `by_user` charges the user for them.

    Raises:
        ParleyError: the user names too many, or chat_service cannot be reached.
    """
    for some in parts(chat_ids, limits.CHATS_PER_CALL):
        request = JoinChatsRequest(user_id=user_id, chat_ids=some, by_user=by_user)
        response = await chats.JoinChats(request)
        for answer in zip(some, response.results, strict=True):
            yield answer

"""How connections get into rooms: subscribe, ask chat_service, and only then let the held frames go."""

from collections.abc import Iterable
from dataclasses import dataclass

from edge.pubsub.channels import Channels, chat_channel, user_channel
from edge.rooms.permission import JoinPermission, join_results
from edge.rooms.rooms import Rooms
from edge.websocket.connection import Connection
from mesh.errors import ParleyError, PermissionDenied, from_item_error
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.common.v1.chat_pb2 import ChatHead
from parley.common.v1.error_pb2 import ErrorReason


@dataclass(frozen=True, slots=True)
class Joined:
    """The outcome of a join. Tell the client the `heads`, then `Membership.release` what is held."""

    heads: list[ChatHead]
    refused: list[tuple[str, ParleyError]]


class Membership:
    """Joins connections to chats without a gap."""

    def __init__(
        self, rooms: Rooms, channels: Channels, chats: ChatServiceStub, permission: JoinPermission
    ) -> None:
        self._permission = permission
        self._rooms = rooms
        self._channels = channels
        self._chats = chats

    async def listen(self, connection: Connection) -> None:
        """Subscribes to what concerns the user of a connection.

        Raises:
            Unavailable: Redis does not confirm.
        """
        channel = user_channel(connection.user_id)
        if connection.open:
            self._channels.acquire(channel)
            await self._channels.confirmed((channel,))

    def stop_listening(self, user_id: str) -> None:
        """The user has no connection here any more."""
        self._channels.release(user_channel(user_id))

    def chats_of(self, connection: Connection) -> list[str]:
        """The chats that a connection is in."""
        return self._rooms.chats_of(connection)

    async def join_named(self, connection: Connection, chat_ids: Iterable[str]) -> Joined:
        """As `join`, for chats that the user names: nothing is subscribed to that the user may not join.

        Raises:
            ParleyError: as `join`; or the user names too many.
        """
        wanted = list(dict.fromkeys(chat_ids))
        refused = await self._permission.refusals(connection.user_id, wanted)
        rest = [chat_id for chat_id in wanted if chat_id not in refused]
        joined = await self.join(connection, rest, by_user=True)
        return Joined(joined.heads, [*refused.items(), *joined.refused])

    async def join(self, connection: Connection, chat_ids: Iterable[str], *, by_user: bool = False) -> Joined:
        """Joins chats; frames of those newly joined are held until `release`. Chats joined already are fine.

        Raises:
            ParleyError: nothing was joined, Redis or chat_service cannot be reached.
        """
        wanted = list(dict.fromkeys(chat_ids))
        if not wanted or not connection.open:  # one that is gone must not enter a room that it never leaves
            return Joined([], [])
        new = [chat_id for chat_id in wanted if self._rooms.begin_join(connection, chat_id)]
        try:
            await self._channels.confirmed(map(chat_channel, wanted))
            asked = join_results(self._chats, connection.user_id, wanted, by_user=by_user)
            results = [answer async for answer in asked]
        except ParleyError:
            for chat_id in new:
                self._rooms.leave(connection, chat_id)
            raise
        joined = Joined([], [])
        for chat_id, result in results:
            if result.WhichOneof("outcome") == "head":
                if self._rooms.has(connection, chat_id):
                    joined.heads.append(result.head)
                else:  # removed since chat_service answered
                    joined.refused.append((chat_id, _not_a_member()))
                continue
            error = from_item_error(result.error)
            joined.refused.append((chat_id, error))
            if chat_id in new or not error.retryable:
                self._rooms.leave(connection, chat_id)
        return joined

    def release(self, connection: Connection, joined: Joined) -> None:
        """Lets the held frames go, those that are newer than the heads."""
        for head in joined.heads:
            self._rooms.release(connection, head)

    def leave(self, connection: Connection, chat_id: str) -> bool:
        """Ends delivery at once; false if the connection was not in the room."""
        return self._rooms.leave(connection, chat_id)

    def leave_all(self, connection: Connection) -> None:
        """For a connection that is gone."""
        self._rooms.leave_all(connection)


def _not_a_member() -> ParleyError:
    return PermissionDenied(ErrorReason.ERROR_REASON_NOT_A_MEMBER, "no such chat, or you are not a member")

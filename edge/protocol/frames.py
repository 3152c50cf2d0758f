"""What the server says over the WebSocket, as typed frames. No I/O.

`encode` gives the complete bytes, header included: a broadcast encodes once and every socket gets the same
object.
"""

from typing import Final

import msgspec

from edge.protocol.answers import Data, ExpiryData, WelcomeData
from edge.protocol.commands import FrameId
from edge.protocol.shapes import (
    ChatJson,
    ErrorJson,
    GroupSettingsJson,
    MemberJson,
    MessageJson,
    error_json,
)
from edge.websocket.framing import Opcode, frame
from mesh.errors import ParleyError


class TypingData(Data, frozen=True):
    """A member types, or stopped."""

    chat_id: str
    user_id: str
    is_typing: bool


class ReceiptData(Data, frozen=True):
    """Everything up to `seq` was read by, or has reached, a member; `messageId` is empty when unknown."""

    chat_id: str
    message_id: str
    seq: int


class ReadReceiptData(ReceiptData, frozen=True):
    """`message-read` and `chat-read`."""

    read_by: str
    read_at: str


class DeliveredReceiptData(ReceiptData, frozen=True):
    """`message-delivered`."""

    user_id: str
    delivered_at: str


class PresenceData(Data, frozen=True):
    """A user came or went; `lastSeen` is when the user was last online."""

    user_id: str
    last_seen: str


class ChatCreatedData(Data, frozen=True):
    """The user is now in this chat; `actorId` made it or added the user."""

    chat: ChatJson
    actor_id: str


class _LoggedData(Data, frozen=True):
    chat_id: str
    seq: int
    number: int
    epoch: int
    actor_id: str
    occurred_at: str


class ChatUpdatedData(_LoggedData, frozen=True):
    """What is true of the group now."""

    name: str
    description: str
    avatar: str
    settings: GroupSettingsJson


class MembersAddedData(_LoggedData, frozen=True):
    """Users became members."""

    members: list[MemberJson]


class MemberRemovedData(_LoggedData, frozen=True):
    """A user is a member no more. `seq` is 0 in the frame that tells the removed user alone.

    `promotedId` is who became admin because the last one left, null when nobody.
    """

    user_id: str
    promoted_id: str | None = None


class ResyncData(Data, frozen=True):
    """Entries of this chat may have been missed: fetch what comes after the last `seq` you have."""

    chat_id: str


class DrainData(Data, frozen=True):
    """This edge goes away: connect to another after that time. Until then everything works as before."""

    reconnect_after_ms: int


class ServerFrame(msgspec.Struct, frozen=True, tag_field="event"):
    """A frame that answers nothing; its `event` is the tag of the class."""


class Welcome(ServerFrame, frozen=True, tag="welcome"):
    """Comes first."""

    data: WelcomeData


class NewMessage(ServerFrame, frozen=True, tag="new-message"):
    """A message was accepted."""

    data: MessageJson


class UserTyping(ServerFrame, frozen=True, tag="user-typing"):
    """A member types, or stopped."""

    data: TypingData


class MessageRead(ServerFrame, frozen=True, tag="message-read"):
    """A member read up to a message."""

    data: ReadReceiptData


class ChatRead(ServerFrame, frozen=True, tag="chat-read"):
    """A member read the whole chat."""

    data: ReadReceiptData


class MessageDelivered(ServerFrame, frozen=True, tag="message-delivered"):
    """Messages reached a member."""

    data: DeliveredReceiptData


class UserOnline(ServerFrame, frozen=True, tag="user-online"):
    """A user came online."""

    data: PresenceData


class UserOffline(ServerFrame, frozen=True, tag="user-offline"):
    """A user's last connection is gone."""

    data: PresenceData


class ChatCreated(ServerFrame, frozen=True, tag="chat-created"):
    """There is a new chat for the user."""

    data: ChatCreatedData


class ChatUpdated(ServerFrame, frozen=True, tag="chat-updated"):
    """A group was changed."""

    data: ChatUpdatedData


class MembersAdded(ServerFrame, frozen=True, tag="member-added"):
    """A group has new members."""

    data: MembersAddedData


class MemberRemoved(ServerFrame, frozen=True, tag="member-removed"):
    """A group lost a member."""

    data: MemberRemovedData


class Resync(ServerFrame, frozen=True, tag="resync"):
    """There may be a gap."""

    data: ResyncData


class TokenExpiring(ServerFrame, frozen=True, tag="token-expiring"):
    """The token ends soon."""

    data: ExpiryData


class Drain(ServerFrame, frozen=True, tag="drain"):
    """This edge goes away."""

    data: DrainData


class Ack(msgspec.Struct, frozen=True, tag_field="event", tag="ack"):
    """A command was carried out."""

    id: FrameId
    data: Data


class Error(msgspec.Struct, frozen=True, tag_field="event", tag="error"):
    """A command was refused, or a frame was not understood."""

    id: FrameId
    data: ErrorJson


_encoder: Final = msgspec.json.Encoder()


def encode(message: ServerFrame | Ack | Error) -> bytes:
    """The complete WebSocket frame."""
    return frame(Opcode.TEXT, _encoder.encode(message))


def encode_ack(frame_id: FrameId, data: Data) -> bytes:
    """The frame that tells success."""
    return encode(Ack(frame_id, data))


def encode_error(frame_id: FrameId, error: ParleyError) -> bytes:
    """The frame that tells failure."""
    return encode(Error(frame_id, error_json(error)))

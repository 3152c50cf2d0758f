"""What answers to commands say, and what the `welcome` shares with them. No I/O."""

import msgspec

from edge.protocol.shapes import ErrorJson


class Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object with camelCase names."""


class HeadData(Data, frozen=True):
    """Where the log of a chat stands for the user; live frames with a higher `seq` follow."""

    chat_id: str
    seq: int
    number: int
    epoch: int
    unread: int


class RefusedChatData(Data, frozen=True):
    """A chat of a `join-chats` that was refused, and why."""

    chat_id: str
    error: ErrorJson


class WelcomeData(Data, frozen=True):
    """The session is open; `chats` are joined.

    `pending` are chats of the user that cannot be joined now: each is joined as soon as it can be, and a
    `resync` says so. With a `nextCursor` there are more: `GET /chats` lists them from there on, and
    `join-chats` joins them.
    """

    user_id: str
    connection_id: str
    heartbeat_ms: int
    chats: list[HeadData]
    pending: list[str]
    next_cursor: str | None


class JoinedData(Data, frozen=True):
    """The answer to `join-chats`."""

    chats: list[HeadData]
    errors: list[RefusedChatData]


class ResumedChatData(Data, frozen=True):
    """Everything up to `seq` was sent, and `number` is that of `seq`, 0 when not known.

    Not `complete`: there is more; resume from `seq`. `reset`: nothing was sent, load the history instead.
    """

    chat_id: str
    seq: int
    number: int
    epoch: int
    unread: int
    complete: bool
    reset: bool


class ResumedData(Data, frozen=True):
    """The answer to `resume`; what is newer follows live."""

    chats: list[ResumedChatData]
    errors: list[RefusedChatData]


class LeftData(Data, frozen=True):
    """The answer to `leave-chats`."""

    chat_ids: list[str]


class SentData(Data, frozen=True):
    """The message is durable."""

    message_id: str
    chat_id: str
    seq: int
    number: int
    epoch: int
    created_at: str
    duplicate: bool


class ReadData(Data, frozen=True):
    """Where the read pointer stands now."""

    chat_id: str
    seq: int
    unread: int


class DoneData(Data, frozen=True):
    """Nothing more to say."""


class ExpiryData(Data, frozen=True):
    """The connection is closed after that time unless the token is refreshed."""

    expires_in_ms: int

"""persist_service, asked over gRPC."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chat_service.domain.model import (
    Chat,
    FoundSend,
    Group,
    MemberPage,
    MemberPointers,
    Membership,
    Role,
    Send,
    StoredHead,
    UserChats,
)
from chat_service.domain.resume import Entry, Window
from parley.common.v1.message_pb2 import Message


class Store(Protocol):
    """persist_service, asked over gRPC."""

    async def upsert_user(self, user_id: str, name: str) -> int:
        """Records a user; the time (ms) before which its tokens are revoked, 0 when they never were."""

    async def revoke_tokens(self, user_id: str, before_ms: int) -> None:
        """Records that the user's tokens issued before are revoked."""

    async def revocations(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        """Per user, as ``upsert_user`` answers."""

    async def set_last_seen(self, user_id: str, last_seen_ms: int) -> None:
        """Records when a user was last online."""

    async def create_direct(self, user_id: str, peer_id: str) -> tuple[Chat, bool]:
        """The direct chat of the pair, and whether it is new."""

    async def create_group(
        self, chat_id: str, user_id: str, group: Group, *, strangers_limited: bool
    ) -> Chat:
        """A new group under that id.

        Raises:
            FailedPrecondition: TOO_MANY_GROUPS, where strangers are limited.
        """

    async def add_members(self, chat_id: str, member_ids: Sequence[str], added_by_id: str = "") -> Chat:
        """The group afterwards. ``added_by_id`` may be a stranger to them, who is limited.

        Raises:
            FailedPrecondition: CHAT_FULL, WRONG_CHAT_TYPE, TOO_MANY_GROUPS.
        """

    async def remove_member(self, chat_id: str, user_id: str, *, promote_successor: bool) -> str:
        """Who became admin for it; empty when nobody.

        Raises:
            FailedPrecondition: LAST_ADMIN, WRONG_CHAT_TYPE.
        """

    async def get_chat(self, chat_id: str) -> Chat:
        """One chat.

        Raises:
            NotFound: CHAT_NOT_FOUND.
        """

    async def get_chats(self, chat_ids: Sequence[str]) -> Mapping[str, Chat]:
        """Up to 100 chats by id; one that does not exist is left out."""

    async def list_members(self, chat_id: str, role: Role | None, limit: int, cursor: str) -> MemberPage:
        """Members by joining, those with ``role`` alone.

        Raises:
            InvalidArgument: the cursor is none.
        """

    async def memberships(self, pairs: Sequence[tuple[str, str]]) -> list[Membership]:
        """One answer per pair of chat and user."""

    async def rebuild_heads(self, chat_ids: Sequence[str]) -> Mapping[str, StoredHead]:
        """Begins a new epoch of logs that Redis lost, durably; a chat that does not exist is left out."""

    async def list_chats(
        self, user_id: str, limit: int, cursor: str = "", *, fresh: bool = False
    ) -> UserChats:
        """A page of the user's chats, the last changed first; what is not ``fresh`` may be 300 s old.

        Raises:
            InvalidArgument: the cursor is none.
        """

    async def list_messages(
        self, chat_id: str, limit: int, *, before_seq: int = 0, before_number: int = 0
    ) -> list[Message]:
        """Stored messages, the newest first."""

    async def list_entries(self, window: Window) -> list[Entry]:
        """The first stored entries beyond the beginning of the window, in order, at most as many as its size.

        There may be holes: what is not stored yet.
        """

    async def find_sends(self, sends: Sequence[Send]) -> list[FoundSend | None]:
        """What is stored under the ``clientMsgId`` of each, in order."""

    async def get_message(self, chat_id: str, message_id: str) -> Message:
        """One stored message.

        Raises:
            NotFound: MESSAGE_NOT_FOUND.
        """

    async def pointers(self, chat_id: str) -> list[MemberPointers]:
        """The stored pointers of up to 100 members; waits 1 s at most."""

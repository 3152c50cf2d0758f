"""The ports of chat_service in memory: as little as its use cases can tell from the real ones."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from typing_extensions import override

from chat_service.domain import rules
from chat_service.domain.events import UserNews
from chat_service.domain.model import (
    Chat,
    ChatKind,
    Delivery,
    FoundSend,
    Group,
    Head,
    Member,
    MemberPage,
    MemberPointers,
    Membership,
    PointerMove,
    ReadPointer,
    Role,
    Send,
    Session,
    StoredHead,
    UserChats,
)
from chat_service.domain.resume import Entry, Window
from chat_service.domain.revocation import Revocation
from chat_service.ports.broker import Broker
from chat_service.ports.log import (
    ChatLog,
    Known,
    LogEntry,
    MembersNow,
    Outbox,
    Recent,
    RecentLog,
    Refusal,
    Taken,
)
from chat_service.ports.members import ChatLocks, NonMembers, Pair, Pending, PendingChanges
from chat_service.ports.rates import Grant, RateLimiter
from chat_service.ports.sessions import Presence, Revocations, UserChannels
from chat_service.ports.store import Store
from mesh.errors import NotFound, unavailable
from mesh.ids import new_object_id
from parley.chat.v1.chat_service_pb2 import SendAccepted
from parley.common.v1.chat_pb2 import LatestMessage
from parley.common.v1.error_pb2 import ErrorReason
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent


@dataclass
class FakeLog(ChatLog):
    """Logs in memory. ``accepting`` has what was offered, call by call."""

    roles: dict[Pair, Role] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    reads: dict[Pair, ReadPointer] = field(default_factory=dict)
    sent: dict[tuple[str, str, str], tuple[str, SendAccepted]] = field(default_factory=dict)
    waiting: dict[str, LogEntry] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    accepting: list[list[Send]] = field(default_factory=list)
    appended: list[ChatEvent] = field(default_factory=list)
    members: list[MembersNow] = field(default_factory=list)
    announced: list[ChatEvent] = field(default_factory=list)
    live: dict[str, list[MemberPointers]] = field(default_factory=dict)
    last: dict[str, LatestMessage] = field(default_factory=dict)
    typing: set[Pair] = field(default_factory=set)
    read_others: set[str] = field(default_factory=set)
    """Senders who read messages of others by sending."""
    down: set[str] = field(default_factory=set)
    """Methods during which Redis is down."""

    def chat(self, chat_id: str, *user_ids: str, role: Role = Role.MEMBER, at: Head | None = None) -> None:
        """A chat as Redis knows it."""
        self.heads[chat_id] = at or Head(epoch=1, seq=0, number=0, member_count=len(user_ids))
        for user_id in user_ids:
            self.roles[chat_id, user_id] = role
            self.reads[chat_id, user_id] = ReadPointer()

    @override
    async def accept(self, sends: Sequence[Send]) -> list[Taken | Refusal]:
        self._reach("accept")
        self.accepting.append(list(sends))
        return [self._accept(send) for send in sends]

    def _accept(self, send: Send) -> Taken | Refusal:
        message = send.event.message
        chat_id, sender_id = message.chat_id, message.sender_id
        role = self.roles.get((chat_id, sender_id))
        if role is None or role is Role.NONE:
            return Refusal.ROLE_UNKNOWN if role is None else Refusal.NOT_A_MEMBER
        key = (chat_id, sender_id, message.client_msg_id)
        if key in self.sent:
            fingerprint, first = self.sent[key]
            if fingerprint != rules.fingerprint(message):
                return Refusal.CONFLICT
            again = SendAccepted()
            again.CopyFrom(first)
            again.duplicate = True
            return Taken(again, self.waiting.get(first.message_id))
        if chat_id in self.uncertain and not send.is_new:
            return Refusal.DEDUPE_UNCERTAIN
        if chat_id not in self.heads:
            return Refusal.HEAD_MISSING
        head = self._advance(chat_id, messages=1)
        accepted = SendAccepted(
            message_id=message.id,
            chat_id=chat_id,
            epoch=head.epoch,
            seq=head.seq,
            number=head.number,
            created_at_ms=message.created_at_ms,
        )
        self.sent[key] = rules.fingerprint(message), accepted
        return Taken(accepted, LogEntry(chat_id, head.seq, b"entry"), has_read=sender_id in self.read_others)

    def _advance(self, chat_id: str, *, messages: int) -> Head:
        head = self.heads[chat_id]
        self.heads[chat_id] = replace(head, seq=head.seq + 1, number=head.number + messages)
        return self.heads[chat_id]

    @override
    async def append(self, event: ChatEvent, members: MembersNow | None = None) -> LogEntry | None:
        self._reach("append")
        if event.chat_id not in self.heads:
            return None
        head = self._advance(event.chat_id, messages=0)
        self.appended.append(event)
        if members is not None:
            self.members.append(members)
            self.heads[event.chat_id] = replace(head, member_count=members.count)
            self.roles.update(((event.chat_id, user_id), role) for user_id, role in members.roles.items())
        return LogEntry(event.chat_id, head.seq, b"entry")

    @override
    async def begin(self, chat_id: str, roles: Mapping[str, Role], member_count: int) -> None:
        self._reach("begin")
        self.heads.setdefault(chat_id, Head(1, 0, 0, member_count))
        self.roles.update(((chat_id, user_id), role) for user_id, role in roles.items())

    @override
    async def restore_heads(self, heads: Mapping[str, StoredHead]) -> None:
        self._reach("restore_heads")
        for chat_id, head in heads.items():
            self.heads[chat_id] = Head(head.epoch, head.seq, head.number, head.member_count, head.seq)
            self.uncertain.add(chat_id)

    @override
    async def remember_sends(self, found: Sequence[FoundSend]) -> None:
        self._reach("remember_sends")
        for send in found:
            message = send.message
            self.sent[message.chat_id, message.sender_id, message.client_msg_id] = (
                rules.fingerprint(message),
                SendAccepted(
                    message_id=message.id, chat_id=message.chat_id, seq=message.seq, epoch=send.epoch
                ),
            )

    @override
    async def known(self, user_id: str, chat_ids: Sequence[str]) -> list[Known]:
        self._reach("known")
        return [
            Known(
                self.roles.get((chat_id, user_id)),
                self.heads.get(chat_id),
                self.reads.get((chat_id, user_id)),
            )
            for chat_id in chat_ids
        ]

    @override
    async def latest(self, chat_ids: Sequence[str]) -> list[LatestMessage | None]:
        self._reach("latest")
        return [self.last.get(chat_id) for chat_id in chat_ids]

    @override
    async def remember(self, user_id: str, memberships: Mapping[str, Membership]) -> None:
        self._reach("remember")
        for chat_id, membership in memberships.items():
            self.roles.setdefault((chat_id, user_id), membership.role)
            self.reads.setdefault((chat_id, user_id), membership.read)

    @override
    async def deny(self, chat_id: str, user_id: str) -> None:
        self._reach("deny")
        self.roles[chat_id, user_id] = Role.NONE

    @override
    async def forget_roles(self, chat_id: str, user_ids: Sequence[str]) -> None:
        self._reach("forget_roles")
        for user_id in user_ids:
            self.roles.pop((chat_id, user_id), None)

    @override
    async def announce(self, signals: Sequence[ChatEvent]) -> None:
        self._reach("announce")
        self.announced += signals

    @override
    async def mark_typing(self, chat_id: str, user_id: str, connection_id: str, *, is_typing: bool) -> bool:
        self._reach("mark_typing")
        is_news = ((chat_id, user_id) in self.typing) is not is_typing
        (self.typing.add if is_typing else self.typing.discard)((chat_id, user_id))
        return is_news

    @override
    async def advance_read(
        self, chat_id: str, user_id: str, pointer: ReadPointer, message_id: str
    ) -> ReadPointer:
        self._reach("advance_read")
        known = self.reads.get((chat_id, user_id), ReadPointer())
        self.reads[chat_id, user_id] = pointer if pointer.seq > known.seq else known
        return self.reads[chat_id, user_id]

    @override
    async def advance_delivered(self, deliveries: Sequence[Delivery]) -> list[bool]:
        self._reach("advance_delivered")
        return [self.roles.get((item.chat_id, item.user_id)) is Role.MEMBER for item in deliveries]

    @override
    async def pointers(self, chat_id: str) -> list[MemberPointers]:
        self._reach("pointers")
        return self.live.get(chat_id, [])

    def _reach(self, method: str) -> None:
        if method in self.down:
            raise unavailable("redis")


@dataclass
class FakeRecentLog(RecentLog):
    """The newest entries and messages, as the test says."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    messages: dict[str, list[Message]] = field(default_factory=dict)
    """The newest first."""
    far: dict[str, Message] = field(default_factory=dict)
    """Messages by id, beyond the few newest entries."""
    whole: bool = False

    @override
    async def read(self, windows: Sequence[Window]) -> list[list[Entry]]:
        return [
            [e for e in self.entries.get(w.chat_id, ()) if w.after_seq < e.seq <= w.upto_seq] for w in windows
        ]

    @override
    async def newest(
        self, chat_id: str, count: int, *, below_seq: int = 0, below_number: int = 0, upto_seq: int = 0
    ) -> Recent:
        found = [
            message
            for message in self.messages.get(chat_id, ())
            if (not below_seq or message.seq < below_seq)
            and (not below_number or message.number < below_number)
        ]
        return Recent(tuple(found[:count]), whole=self.whole and len(found) <= count)

    @override
    async def at(self, chat_id: str, seq: int) -> tuple[int, int, str] | None:
        return next((m.seq, m.number, m.id) for m in self.messages[chat_id] if m.seq <= seq)

    @override
    async def find_latest(self, chat_id: str, message_id: str) -> Message | None:
        return next((m for m in self.messages.get(chat_id, ()) if m.id == message_id), None)

    @override
    async def find(self, chat_id: str, message_id: str) -> Message | None:
        return self.far.get(message_id)


@dataclass
class FakeOutbox(Outbox):
    """``marked`` and ``cleared``: what was, call by call."""

    marked: list[str] = field(default_factory=list)
    cleared: list[LogEntry] = field(default_factory=list)
    left: dict[str, tuple[LogEntry, ...]] = field(default_factory=dict)
    down: bool = False

    @override
    async def mark(self, chat_ids: Sequence[str]) -> None:
        self.marked += chat_ids

    @override
    async def clear(self, entries: Sequence[LogEntry]) -> None:
        if self.down:
            raise unavailable("redis")
        self.cleared += entries

    @override
    async def waiting(self, older_than_ms: int, limit: int) -> Mapping[str, tuple[LogEntry, ...]]:
        return self.left


@dataclass
class FakeBroker(Broker):
    """``up``: as far as is known; ``confirms``: whether it really is."""

    up: bool = True
    confirms: bool = True
    persisted: list[LogEntry] = field(default_factory=list)
    moved: list[PointerMove] = field(default_factory=list)

    @property
    @override
    def is_up(self) -> bool:
        return self.up

    @override
    async def persist(self, entries: Sequence[LogEntry]) -> None:
        if not self.confirms:
            raise unavailable("rabbitmq")
        self.persisted += entries

    @override
    async def move_pointers(self, moves: Sequence[PointerMove]) -> None:
        if not self.confirms:
            raise unavailable("rabbitmq")
        self.moved += moves


@dataclass
class FakeLimiter(RateLimiter):
    """Grants all, or what ``tokens`` of an action has left for each user."""

    tokens: dict[str, int] = field(default_factory=dict)
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)

    @override
    async def take(self, action: str, wanted: Mapping[str, int], *, price: int = 1) -> Mapping[str, Grant]:
        grants: dict[str, Grant] = {}
        for user_id, items in wanted.items():
            left = self.tokens.get(action, 1_000_000) - self.taken[action, user_id]
            count = max(0, min(items, left // price))
            self.taken[action, user_id] += count * price
            grants[user_id] = Grant(count, wait_seconds=1.0, interval_seconds=0.5)
        return grants

    @override
    async def give_back(self, action: str, tokens: Mapping[str, int]) -> None:
        for user_id, count in tokens.items():
            self.taken[action, user_id] -= count


@dataclass
class FakeNonMembers(NonMembers):
    """Remembers for ever."""

    pairs: set[Pair] = field(default_factory=set)

    @override
    async def known(self, pairs: Sequence[Pair]) -> set[Pair]:
        return self.pairs & set(pairs)

    @override
    async def remember(self, pairs: Sequence[Pair]) -> None:
        self.pairs.update(pairs)


@dataclass
class FakeLocks(ChatLocks):
    """Nobody else wants a chat."""

    @override
    @asynccontextmanager
    async def hold(self, chat_id: str) -> AsyncIterator[None]:
        yield


@dataclass
class FakePending(PendingChanges):
    """What is pending, by chat."""

    changes: dict[str, Pending] = field(default_factory=dict)

    @override
    async def begin(self, change: ChatEvent) -> None:
        self.changes[change.chat_id] = Pending(change, logged=False)

    @override
    async def of(self, chat_id: str) -> Pending | None:
        return self.changes.get(chat_id)

    @override
    async def forget(self, chat_id: str) -> None:
        self.changes.pop(chat_id, None)

    @override
    async def left_behind(self, older_than_ms: int, limit: int) -> list[str]:
        return list(self.changes)[:limit]


@dataclass
class FakeChannels(UserChannels):
    """``news``: what each user was sent."""

    news: defaultdict[str, list[UserNews]] = field(default_factory=lambda: defaultdict(list))

    @override
    async def publish(self, news: Mapping[str, UserNews]) -> None:
        for user_id, item in news.items():
            self.news[user_id].append(item)


@dataclass
class FakePresence(Presence):
    """Sessions by user."""

    live: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @override
    async def open(self, session: Session) -> bool:
        came = not self.live[session.user_id]
        self.live[session.user_id].add(session.connection_id)
        return came

    @override
    async def renew(self, sessions: Sequence[Session]) -> list[str]:
        return [session.user_id for session in sessions if await self.open(session)]

    @override
    async def close(self, session: Session) -> None:
        self.live[session.user_id].discard(session.connection_id)

    @override
    async def departed(self, limit: int) -> list[str]:
        return []

    @override
    async def online(self, user_ids: Sequence[str]) -> list[str]:
        return [user_id for user_id in user_ids if self.live[user_id]]

    @override
    async def sessions(self, user_id: str) -> list[str]:
        return sorted(self.live[user_id])


@dataclass
class FakeRevocations(Revocations):
    """What Redis knows: nothing of a user who is not in ``before``."""

    before: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    @override
    async def revoke_tokens(self, user_id: str, at_ms: int) -> int:
        self.before[user_id] = at_ms
        return at_ms

    @override
    async def end_connection(self, session: Session) -> None:
        self.ended.add(session.connection_id)

    @override
    async def known(self, sessions: Sequence[Session]) -> list[Revocation]:
        return [
            Revocation(self.before.get(session.user_id), session.connection_id in self.ended)
            for session in sessions
        ]

    @override
    async def remember(self, stored: Mapping[str, int]) -> None:
        for user_id, before_ms in stored.items():
            self.before.setdefault(user_id, before_ms)


@dataclass
class FakeStore(Store):
    """What persist_service has. ``asked`` counts the calls by method."""

    chats: dict[str, Chat] = field(default_factory=dict)
    roles: dict[Pair, Role] = field(default_factory=dict)
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    messages: dict[str, list[Message]] = field(default_factory=dict)
    """The newest first."""
    receipts: dict[str, list[MemberPointers]] = field(default_factory=dict)
    listed: dict[str, UserChats] = field(default_factory=dict)
    """The chats of each user."""
    revoked: dict[str, int] = field(default_factory=dict)
    epochs: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    down: bool = False
    down_for: set[str] = field(default_factory=set)
    """Methods that find it down."""

    def group(self, chat_id: str, admin_id: str, *member_ids: str) -> Chat:
        """A stored group."""
        roles = {admin_id: Role.ADMIN, **dict.fromkeys(member_ids, Role.MEMBER)}
        self.roles.update(((chat_id, user_id), role) for user_id, role in roles.items())
        members = tuple(Member(user_id, role, 1) for user_id, role in roles.items())
        self.chats[chat_id] = Chat(chat_id, ChatKind.GROUP, members, len(members), 1, 1)
        return self.chats[chat_id]

    @override
    async def upsert_user(self, user_id: str, name: str) -> int:
        self._reach("upsert_user")
        return self.revoked.get(user_id, 0)

    @override
    async def revoke_tokens(self, user_id: str, before_ms: int) -> None:
        self._reach("revoke_tokens")
        self.revoked[user_id] = before_ms

    @override
    async def revocations(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        self._reach("revocations")
        return {user_id: self.revoked.get(user_id, 0) for user_id in user_ids}

    @override
    async def set_last_seen(self, user_id: str, last_seen_ms: int) -> None:
        self._reach("set_last_seen")

    @override
    async def create_direct(self, user_id: str, peer_id: str) -> tuple[Chat, bool]:
        self._reach("create_direct")
        pair = {user_id, peer_id}
        for chat in self.chats.values():
            if chat.kind is ChatKind.DIRECT and {member.user_id for member in chat.members} == pair:
                return chat, False
        members = tuple(Member(user, Role.MEMBER, 1) for user in (user_id, peer_id))
        chat = Chat(new_object_id(), ChatKind.DIRECT, members, 2, 1, 1)
        self.chats[chat.id] = chat
        self.roles.update(((chat.id, member.user_id), member.role) for member in members)
        return chat, True

    @override
    async def create_group(
        self, chat_id: str, user_id: str, group: Group, *, strangers_limited: bool
    ) -> Chat:
        self._reach("create_group")
        return self.group(chat_id, user_id, *group.member_ids)

    @override
    async def add_members(self, chat_id: str, member_ids: Sequence[str], added_by_id: str = "") -> Chat:
        self._reach("add_members")
        for user_id in member_ids:
            self.roles.setdefault((chat_id, user_id), Role.MEMBER)
        return self._listed(chat_id)

    @override
    async def remove_member(self, chat_id: str, user_id: str, *, promote_successor: bool) -> str:
        self._reach("remove_member")
        self.roles.pop((chat_id, user_id), None)
        self._listed(chat_id)
        return ""

    def _listed(self, chat_id: str) -> Chat:
        members = tuple(Member(user, role, 1) for (chat, user), role in self.roles.items() if chat == chat_id)
        chat = self.chats[chat_id] = replace(self.chats[chat_id], members=members, member_count=len(members))
        return chat

    @override
    async def get_chat(self, chat_id: str) -> Chat:
        self._reach("get_chat")
        return self.chats[chat_id]

    @override
    async def get_chats(self, chat_ids: Sequence[str]) -> Mapping[str, Chat]:
        self._reach("get_chats")
        return {chat_id: self.chats[chat_id] for chat_id in chat_ids if chat_id in self.chats}

    @override
    async def list_members(self, chat_id: str, role: Role | None, limit: int, cursor: str) -> MemberPage:
        self._reach("list_members")
        return MemberPage(self.chats[chat_id].members, "")

    @override
    async def memberships(self, pairs: Sequence[Pair]) -> list[Membership]:
        self._reach("memberships")
        return [Membership(self.roles.get(pair, Role.NONE), ReadPointer()) for pair in pairs]

    @override
    async def rebuild_heads(self, chat_ids: Collection[str]) -> Mapping[str, StoredHead]:
        self._reach("rebuild_heads")
        self.epochs.update(chat_ids)
        known = {chat for chat, _ in self.roles}
        return {
            chat_id: StoredHead(1 + self.epochs[chat_id], 1_000, 5, 2)
            for chat_id in chat_ids
            if chat_id in known
        }

    @override
    async def list_chats(
        self, user_id: str, limit: int, cursor: str = "", *, fresh: bool = False
    ) -> UserChats:
        self._reach("list_chats")
        return self.listed.get(user_id, UserChats((), ""))

    @override
    async def list_messages(
        self, chat_id: str, limit: int, *, before_seq: int = 0, before_number: int = 0
    ) -> list[Message]:
        self._reach("list_messages")
        found = [
            message
            for message in self.messages.get(chat_id, ())
            if (not before_seq or message.seq < before_seq)
            and (not before_number or message.number < before_number)
        ]
        return found[:limit]

    @override
    async def list_entries(self, window: Window) -> list[Entry]:
        self._reach("list_entries")
        stored = self.entries.get(window.chat_id, ())
        return [entry for entry in stored if entry.seq > window.after_seq][: window.size]

    @override
    async def find_sends(self, sends: Sequence[Send]) -> list[FoundSend | None]:
        self._reach("find_sends")
        return [self._find_send(send.event.message) for send in sends]

    def _find_send(self, wanted: Message) -> FoundSend | None:
        for message in self.messages.get(wanted.chat_id, ()):
            if (message.sender_id, message.client_msg_id) == (wanted.sender_id, wanted.client_msg_id):
                return FoundSend(message, epoch=1)
        return None

    @override
    async def get_message(self, chat_id: str, message_id: str) -> Message:
        self._reach("get_message")
        for message in self.messages.get(chat_id, ()):
            if message.id == message_id:
                return message
        raise NotFound(ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND, "no such message")

    @override
    async def pointers(self, chat_id: str) -> list[MemberPointers]:
        self._reach("pointers")
        return self.receipts.get(chat_id, [])

    def _reach(self, method: str) -> None:
        self.asked[method] += 1
        if self.down or method in self.down_for:
            raise unavailable("persist")

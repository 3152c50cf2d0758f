"""``ChatLog`` on Redis."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from typing_extensions import override

from chat_service import event_codec
from chat_service.adapters.redis import keys, replies, scripts
from chat_service.adapters.redis.high_water import HighWater
from chat_service.domain import events, rules
from chat_service.domain.model import (
    Delivery,
    FoundSend,
    MemberPointers,
    Membership,
    Position,
    ReadPointer,
    Role,
    Send,
    StoredHead,
)
from chat_service.ports.log import ChatLog, Known, LogEntry, MembersNow, Refusal, Taken
from mesh.clock import now_ms
from mesh.logs import get_logger
from mesh.redis import redis_errors
from parley.common.v1.chat_pb2 import LatestMessage
from parley.events.v1.chat_event_pb2 import ChatEvent

FIRST_EPOCH: Final = 1
TYPING_MS: Final = 3_000
# The same announcement within this time of the last one is not news; much shorter than TYPING_MS, so that the
# state never lapses while the user goes on.
TYPING_MERGE_MS: Final = 1_000
TYPING_DEVICES: Final = 8
"""Devices of one user that type in one chat; of more the last ones count."""

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept in Redis and how long."""

    recent_entries: int = 200
    recent_seconds: int = 3_600
    dedupe_seconds: int = 86_400


class RedisChatLog(ChatLog):
    """The ``ChatLog`` port; the scripts folder holds what must happen in one step."""

    def __init__(self, redis: Redis, retention: Retention) -> None:
        self._redis = redis
        self._keep = retention
        self._seen = HighWater()

    @override
    async def accept(self, sends: Sequence[Send]) -> list[Taken | Refusal]:
        events_ = [send.event for send in sends]
        entries = [event.SerializeToString() for event in events_]
        calls = [self._accept_call(*pair) for pair in zip(sends, entries, strict=True)]
        answers = await scripts.run_each(self._redis, calls)
        outcomes = [replies.taken(*triple) for triple in zip(events_, entries, answers, strict=True)]
        for outcome in outcomes:
            if isinstance(outcome, Taken):
                accepted = outcome.accepted
                self._seen.note(accepted.chat_id, accepted.epoch, accepted.seq)
        return outcomes

    def _accept_call(self, send: Send, entry: bytes) -> scripts.Call:
        message = send.event.message
        chat_id, sender_id = message.chat_id, message.sender_id
        return scripts.Call(
            scripts.ACCEPT,
            (
                keys.head(chat_id),
                keys.members(chat_id),
                keys.log(chat_id),
                keys.outbox(chat_id),
                keys.read(chat_id),
                keys.dedupe(chat_id, sender_id, message.client_msg_id),
                keys.dedupe_uncertain(chat_id),
                keys.typing(chat_id, sender_id),
            ),
            (
                sender_id,
                entry,
                keys.channel(chat_id),
                message.id,
                message.created_at_ms,
                rules.fingerprint(message),
                self._keep.recent_entries,
                self._keep.recent_seconds,
                self._keep.dedupe_seconds,
                int(send.is_new),
                *self._seen.of(chat_id),
                int(not send.event.unread_by_sender),
                event_codec.latest_of(message),
            ),
        )

    @override
    async def remember_sends(self, found: Sequence[FoundSend]) -> None:
        await scripts.run(self._redis, [self._remember_call(send) for send in found])

    def _remember_call(self, send: FoundSend) -> scripts.Call:
        message = send.message
        return scripts.Call(
            scripts.REMEMBER_SEND,
            (keys.dedupe(message.chat_id, message.sender_id, message.client_msg_id),),
            (
                rules.fingerprint(message),
                message.id,
                send.epoch,
                message.seq,
                message.number,
                message.created_at_ms,
                self._keep.dedupe_seconds,
            ),
        )

    @override
    async def append(self, event: ChatEvent, members: MembersNow | None = None) -> LogEntry | None:
        chat_id, entry = event.chat_id, event.SerializeToString()
        answer = await scripts.run_one(
            self._redis,
            scripts.APPEND,
            (
                keys.head(chat_id),
                keys.members(chat_id),
                keys.log(chat_id),
                keys.outbox(chat_id),
                keys.pending(chat_id),
                keys.read(chat_id),
                keys.delivered(chat_id),
            ),
            entry,
            keys.channel(chat_id),
            self._keep.recent_entries,
            self._keep.recent_seconds,
            *self._seen.of(chat_id),
            *(() if members is None else _members_arguments(members)),
        )
        if answer is None:
            return None
        position = Position(*map(int, answer))
        self._seen.note(chat_id, position.epoch, position.seq)
        return LogEntry(chat_id, position.seq, event_codec.at_position(entry, position))

    @override
    async def begin(self, chat_id: str, roles: Mapping[str, Role], member_count: int) -> None:
        first = StoredHead(FIRST_EPOCH, 0, 0, member_count)
        await scripts.run(self._redis, [self._begin_call(chat_id, first)])
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hset(
                    keys.members(chat_id), mapping={user_id: str(role) for user_id, role in roles.items()}
                )
                pipe.expire(keys.members(chat_id), self._keep.recent_seconds)
                await pipe.execute()

    @override
    async def restore_heads(self, heads: Mapping[str, StoredHead]) -> None:
        restored = await scripts.run(self._redis, [self._begin_call(*item) for item in heads.items()])
        for (chat_id, head), answer in zip(heads.items(), restored, strict=True):
            if answer == 1:
                _log.warning("chat.log_rebuilt", chat_id=chat_id, epoch=head.epoch)

    def _begin_call(self, chat_id: str, head: StoredHead) -> scripts.Call:
        # Nothing was sent before the first epoch, so nothing of it can come again.
        uncertain_seconds = 0 if head.epoch == FIRST_EPOCH else self._keep.dedupe_seconds
        return scripts.Call(
            scripts.BEGIN,
            (
                keys.head(chat_id),
                keys.dedupe_uncertain(chat_id),
                keys.log(chat_id),
                keys.members(chat_id),
                keys.read(chat_id),
                keys.delivered(chat_id),
            ),
            (
                head.epoch,
                head.seq,
                head.number,
                head.member_count,
                uncertain_seconds,
                *self._seen.of(chat_id),
            ),
        )

    @override
    async def known(self, user_id: str, chat_ids: Sequence[str]) -> list[Known]:
        seen = list(map(self._seen.of, chat_ids))
        answers = await scripts.run(self._redis, [self._look_up_call(user_id, chat) for chat in chat_ids])
        return [self._known(*triple) for triple in zip(chat_ids, seen, answers, strict=True)]

    @staticmethod
    def _look_up_call(user_id: str, chat_id: str) -> scripts.Call:
        return scripts.Call(
            scripts.LOOK_UP,
            (keys.members(chat_id), keys.head(chat_id), keys.read(chat_id)),
            (user_id, *replies.HEAD_FIELDS),
        )

    def _known(self, chat_id: str, before: tuple[int, int], answer: Any) -> Known:
        if isinstance(answer, RedisError):
            raise answer
        role = None if answer[0] is None else Role(answer[0].decode())
        if role is None or role is Role.NONE:
            return Known(role, head=None, read=None)
        head = self._seen.check(chat_id, before, replies.head(answer[2:]))
        return Known(role, head, None if answer[1] is None else replies.read_pointer(answer[1]))

    @override
    async def latest(self, chat_ids: Sequence[str]) -> list[LatestMessage | None]:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for chat_id in chat_ids:
                    pipe.hget(keys.head(chat_id), "latest")
                answers: list[bytes | None] = await pipe.execute()
        return [None if answer is None else LatestMessage.FromString(answer) for answer in answers]

    @override
    async def remember(self, user_id: str, memberships: Mapping[str, Membership]) -> None:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for chat_id, membership in memberships.items():
                    pipe.hsetnx(keys.members(chat_id), user_id, str(membership.role))
                    pipe.expire(keys.members(chat_id), self._keep.recent_seconds)
                    pipe.hsetnx(keys.read(chat_id), user_id, replies.encode_pointer(membership.read))
                    pipe.expire(keys.read(chat_id), self._keep.recent_seconds)
                await pipe.execute()

    @override
    async def deny(self, chat_id: str, user_id: str) -> None:
        with redis_errors():
            await self._redis.hset(keys.members(chat_id), user_id, str(Role.NONE))

    @override
    async def forget_roles(self, chat_id: str, user_ids: Sequence[str]) -> None:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hdel(keys.members(chat_id), *user_ids)
                for user_id in user_ids:
                    pipe.zrem(keys.non_members(user_id), chat_id)
                await pipe.execute()

    @override
    async def announce(self, signals: Sequence[ChatEvent]) -> None:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for signal in signals:
                    pipe.publish(keys.channel(signal.chat_id), signal.SerializeToString())
                await pipe.execute()

    @override
    async def mark_typing(self, chat_id: str, user_id: str, connection_id: str, *, is_typing: bool) -> bool:
        answer = await scripts.run_one(
            self._redis,
            scripts.MARK_TYPING,
            (keys.typing(chat_id, user_id),),
            connection_id,
            int(is_typing),
            TYPING_MS,
            TYPING_MERGE_MS,
            TYPING_DEVICES,
        )
        return bool(answer == 1)

    @override
    async def advance_read(
        self, chat_id: str, user_id: str, pointer: ReadPointer, message_id: str
    ) -> ReadPointer:
        event = events.read(
            chat_id, user_id, message_id, pointer.at_ms, seq=pointer.seq, number=pointer.number
        )
        answer = await scripts.run_one(
            self._redis,
            scripts.ADVANCE_READ,
            (keys.read(chat_id),),
            user_id,
            pointer.seq,
            pointer.number,
            pointer.at_ms,
            keys.channel(chat_id),
            event.SerializeToString(),
            self._keep.recent_seconds,
        )
        return replies.read_pointer(answer)

    @override
    async def advance_delivered(self, deliveries: Sequence[Delivery]) -> list[bool]:
        at_ms = now_ms()
        calls = [
            scripts.Call(
                scripts.ADVANCE_DELIVERED,
                (keys.members(delivery.chat_id), keys.delivered(delivery.chat_id)),
                (
                    delivery.user_id,
                    delivery.seq,
                    keys.channel(delivery.chat_id),
                    events.delivered(
                        delivery.chat_id, delivery.user_id, delivery.message_id, delivery.seq, at_ms
                    ).SerializeToString(),
                    self._keep.recent_seconds,
                ),
            )
            for delivery in deliveries
        ]
        return [answer == 1 for answer in await scripts.run(self._redis, calls)]

    @override
    async def pointers(self, chat_id: str) -> list[MemberPointers]:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hgetall(keys.read(chat_id))
                pipe.hgetall(keys.delivered(chat_id))
                read, delivered = await pipe.execute()
        return [
            MemberPointers(
                user.decode(),
                replies.read_pointer(read[user]) if user in read else ReadPointer(),
                int(delivered.get(user, 0)),
            )
            for user in read.keys() | delivered.keys()
        ]


def _members_arguments(members: MembersNow) -> Iterator[str | int]:
    """As scripts/append.lua takes them."""
    yield members.count
    for user_id, role in members.roles.items():
        pointers = "join" if user_id in members.joined else "leave" if user_id in members.left else "keep"
        yield from (user_id, role, pointers)

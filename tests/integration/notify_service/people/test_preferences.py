"""What users wish, over gRPC."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from mesh.clock import now_ms
from mesh.errors import InvalidArgument
from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.domain.preferences import MutedChat, Preferences, QuietHours
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.notify_service.conftest import new_user
from tests.integration.notify_service.people.desk import open_desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub

DEFAULTS = pb.Preferences(enabled=True, show_preview=True, mention_overrides=True, email_digest=True)
FAR = 4_000_000_000_000


@pytest.fixture
async def desk(mongo_url: str) -> AsyncIterator[NotifyServiceStub]:
    async with open_desk(mongo_url) as stub:
        yield stub


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[MongoPreferenceStore]:
    async with open_mongo(mongo_url) as mongo:
        await mongo.prepare(make_indexes)
        yield MongoPreferenceStore(mongo)


async def preferences(desk: NotifyServiceStub, user: str) -> pb.Preferences:
    answer: pb.GetPreferencesResponse = await desk.GetPreferences(pb.GetPreferencesRequest(user_id=user))
    return answer.preferences


async def set_preferences(desk: NotifyServiceStub, user: str, wanted: pb.Preferences) -> pb.Preferences:
    answer: pb.SetPreferencesResponse = await desk.SetPreferences(
        pb.SetPreferencesRequest(user_id=user, preferences=wanted)
    )
    return answer.preferences


async def mute(desk: NotifyServiceStub, user: str, chat_id: str, until_ms: int = 0) -> None:
    chat = pb.MutedChat(chat_id=chat_id, until_ms=until_ms)
    await desk.MuteChat(pb.MuteChatRequest(user_id=user, chat=chat))


async def test_the_defaults_hold_until_something_is_set(desk: NotifyServiceStub) -> None:
    assert await preferences(desk, new_user()) == DEFAULTS


async def test_setting_replaces_all_of_it(desk: NotifyServiceStub) -> None:
    user, one, other = new_user(), new_object_id(), new_object_id()
    quiet = pb.Preferences(
        muted_chats=[pb.MutedChat(chat_id=one), pb.MutedChat(chat_id=other, until_ms=FAR)],
        quiet_hours=pb.QuietHours(start_minute=1320, end_minute=0, time_zone="Asia/Kolkata"),
        direct_overrides=True,
    )
    assert await set_preferences(desk, user, quiet) == quiet
    assert await preferences(desk, user) == quiet
    loud = pb.Preferences(enabled=True)
    await set_preferences(desk, user, loud)
    assert await preferences(desk, user) == loud


async def test_what_is_over_or_said_twice_is_not_kept(desk: NotifyServiceStub) -> None:
    user, over, twice = new_user(), new_object_id(), new_object_id()
    wanted = pb.Preferences(
        muted_chats=[
            pb.MutedChat(chat_id=over, until_ms=1),
            pb.MutedChat(chat_id=twice, until_ms=FAR),
            pb.MutedChat(chat_id=twice),
        ]
    )
    kept = pb.Preferences(muted_chats=[pb.MutedChat(chat_id=twice)])
    assert await set_preferences(desk, user, wanted) == kept
    assert await preferences(desk, user) == kept


async def test_preferences_left_out_switch_nothing_off(desk: NotifyServiceStub) -> None:
    user = new_user()
    with pytest.raises(InvalidArgument, match=r"^preferences:"):
        await desk.SetPreferences(pb.SetPreferencesRequest(user_id=user))
    assert await preferences(desk, user) == DEFAULTS


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (
            pb.Preferences(muted_chats=[pb.MutedChat(chat_id=f"{n:024x}") for n in range(1001)]),
            "muted_chats",
        ),
        (pb.Preferences(muted_chats=[pb.MutedChat(chat_id="x")]), r"muted_chats\.chat_id"),
        (
            pb.Preferences(quiet_hours=pb.QuietHours(end_minute=1, time_zone="Nowhere")),
            r"quiet_hours\.time_zone",
        ),
        (
            pb.Preferences(quiet_hours=pb.QuietHours(start_minute=1440, time_zone="UTC")),
            r"quiet_hours\.start_minute",
        ),
        (pb.Preferences(quiet_hours=pb.QuietHours(time_zone="UTC")), r"quiet_hours\.end_minute"),
    ],
)
async def test_a_broken_limit_is_told_by_its_field(
    desk: NotifyServiceStub, wanted: pb.Preferences, field: str
) -> None:
    with pytest.raises(InvalidArgument, match=rf"^preferences\.{field}:"):
        await set_preferences(desk, new_user(), wanted)


async def test_a_chat_is_muted_for_longer_and_heard_again(desk: NotifyServiceStub) -> None:
    user, chat, other = new_user(), new_object_id(), new_object_id()
    await mute(desk, user, chat, FAR)
    await mute(desk, user, other)
    await mute(desk, user, chat)
    muted = (await preferences(desk, user)).muted_chats
    assert {(kept.chat_id, kept.until_ms) for kept in muted} == {(chat, 0), (other, 0)}
    for _ in range(2):
        await desk.UnmuteChat(pb.UnmuteChatRequest(user_id=user, chat_id=chat))
    assert [kept.chat_id for kept in (await preferences(desk, user)).muted_chats] == [other]
    assert (await preferences(desk, user)).mention_overrides, "what else there is to wish keeps its default"


async def test_unmuting_makes_no_preferences(desk: NotifyServiceStub, store: MongoPreferenceStore) -> None:
    user = new_user()
    await desk.UnmuteChat(pb.UnmuteChatRequest(user_id=user, chat_id=new_object_id()))
    assert await store.of_users([user]) == {}


async def test_what_cannot_be_muted(desk: NotifyServiceStub) -> None:
    for chat_id, until_ms, field in (
        ("x", 0, "chat.chat_id"),
        (new_object_id(), -1, "chat.until_ms"),
        (new_object_id(), 2**60, "chat.until_ms"),
        (new_object_id(), now_ms() - 1, "chat.until_ms"),
    ):
        with pytest.raises(InvalidArgument, match=f"^{field}:"):
            await mute(desk, new_user(), chat_id, until_ms)
    with pytest.raises(InvalidArgument, match=r"^chat\.chat_id:"):
        await desk.MuteChat(pb.MuteChatRequest(user_id=new_user()))
    with pytest.raises(InvalidArgument, match=r"^chat_id:"):
        await desk.UnmuteChat(pb.UnmuteChatRequest(user_id=new_user(), chat_id="x"))


async def test_more_chats_are_not_muted_and_none_is_lost(desk: NotifyServiceStub) -> None:
    user = new_user()
    chats = [f"{number:024x}" for number in range(1000)]
    wanted = pb.Preferences(muted_chats=[pb.MutedChat(chat_id=chat) for chat in chats])
    await set_preferences(desk, user, wanted)
    with pytest.raises(InvalidArgument, match="1000 chats are muted already"):
        await mute(desk, user, new_object_id())
    await mute(desk, user, chats[0], FAR)  # one that is muted already may get another end
    muted = (await preferences(desk, user)).muted_chats
    assert sorted(chat.chat_id for chat in muted) == chats


async def test_mutings_that_are_over_make_room(store: MongoPreferenceStore) -> None:
    user, over, good, new = new_user(), new_object_id(), new_object_id(), new_object_id()
    await store.replace(user, Preferences(muted_chats=(MutedChat(over, 10), MutedChat(good))))
    assert not await store.mute(user, MutedChat(new, 99), keep=2, at_ms=9)
    assert await store.mute(user, MutedChat(new, 99), keep=2, at_ms=10)
    stored = (await store.of_users([user]))[user]
    assert stored.muted_chats == (MutedChat(good), MutedChat(new, 99))


async def test_mutings_at_once_are_all_kept_up_to_the_limit(store: MongoPreferenceStore) -> None:
    user, chats = new_user(), [new_object_id() for _ in range(6)]
    muted = await asyncio.gather(*(store.mute(user, MutedChat(chat), keep=4, at_ms=1) for chat in chats))
    assert muted.count(True) == 4
    stored = (await store.of_users([user]))[user].muted_chats
    assert {chat.chat_id for chat in stored} == {
        chat for chat, kept in zip(chats, muted, strict=True) if kept
    }


async def test_ending_mails_ends_nothing_else(store: MongoPreferenceStore) -> None:
    known, unknown = new_user(), new_user()
    wishes = Preferences(
        show_preview=False, quiet_hours=QuietHours(1, 2, "UTC"), muted_chats=(MutedChat("c"),)
    )
    await store.replace(known, wishes)
    for user in (known, unknown, known):
        await store.end_emails(user)
    stored = await store.of_users([known, unknown])
    assert stored[unknown] == Preferences(email_digest=False)
    assert stored[known] == Preferences(
        show_preview=False,
        quiet_hours=QuietHours(1, 2, "UTC"),
        muted_chats=(MutedChat("c"),),
        email_digest=False,
    )

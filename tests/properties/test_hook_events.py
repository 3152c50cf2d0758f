"""Events for integrators: what is kept is what came, and nothing but a good event is taken."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contract.user_ids import is_user_id
from notify_service.webhooks.event import HookEventType as Type
from notify_service.webhooks.event import hook_event, to_json, without_content
from notify_service.webhooks.proto_codec import BadEventError, from_bytes, read_event, to_bytes
from notify_service.webhooks.subscription import HookKey
from parley.common.v1.chat_pb2 import GroupSettings, Member
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent, ChatUpdated, MemberRemoved, MembersAdded

_ids = st.text("0123456789abcdef", min_size=24, max_size=24)
_text = st.text(max_size=40)
_users = st.text(min_size=1, max_size=128).filter(is_user_id)
_times = st.integers(0, 253_402_300_799_999)
_counts = st.integers(0, 2**64 - 1)
_messages = st.builds(
    Message,
    id=_ids,
    sender_id=_users,
    type=st.integers(1, 9),
    content=_text,
    client_msg_id=_text,
    mentions=st.lists(_users, max_size=5),
    created_at_ms=_times,
)
_added = st.builds(
    MembersAdded,
    actor_id=_users,
    members=st.lists(
        st.builds(Member, user_id=_users, role=st.integers(2, 9), joined_at_ms=_times), max_size=5
    ),
)
_removed = st.builds(MemberRemoved, actor_id=_users, user_id=_users, promoted_id=st.just("") | _users)
_updated = st.builds(
    ChatUpdated,
    actor_id=_users,
    name=_text,
    description=_text,
    avatar=_text,
    settings=st.builds(GroupSettings, is_public=st.booleans(), allow_invites=st.booleans()),
)
_bodies = st.one_of(
    st.fixed_dictionaries({"message": _messages}),
    st.fixed_dictionaries({"members_added": _added}),
    st.fixed_dictionaries({"member_removed": _removed}),
    st.fixed_dictionaries({"chat_updated": _updated}),
)


@st.composite
def _entries(draw: st.DrawFn) -> ChatEvent:
    return ChatEvent(
        chat_id=draw(_ids),
        epoch=draw(_counts),
        seq=draw(st.integers(1, 2**64 - 1)),
        number=draw(_counts),
        occurred_at_ms=draw(_times),
        **draw(_bodies),
    )


@given(_entries())
def test_an_event_survives_being_kept(entry: ChatEvent) -> None:
    kept = from_bytes(to_bytes(entry))
    assert kept == read_event(entry)
    assert kept.entry == entry


@given(_entries())
def test_the_json_is_the_same_each_time_and_names_type_time_and_position(entry: ChatEvent) -> None:
    event = hook_event(entry)
    assert event is not None
    body = to_json(event)
    assert to_json(from_bytes(to_bytes(entry))) == body
    document: dict[str, Any] = json.loads(body)
    assert document.keys() == {"type", "timestamp", "data"}
    assert document["type"] == event.type.value
    assert document["data"]["chatId"] == entry.chat_id
    assert document["data"]["seq"] == entry.seq


@given(_entries())
def test_without_content_nothing_else_is_left_out(entry: ChatEvent) -> None:
    event, less = hook_event(entry), hook_event(without_content(entry))
    assert event is not None
    assert less is not None
    whole, reduced = json.loads(to_json(event))["data"], json.loads(to_json(less))["data"]
    if event.type is Type.MESSAGE_CREATED:
        whole.pop("content", None)
    assert reduced == whole


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_in_one_way(payload: bytes) -> None:
    with contextlib.suppress(BadEventError):
        from_bytes(payload)


@given(_ids, _ids, st.integers(1, 2**64 - 1), st.sampled_from(Type))
def test_a_key_is_read_as_it_was_written(subscription_id: str, chat_id: str, seq: int, kind: Type) -> None:
    key = HookKey(subscription_id, chat_id, seq, kind)
    assert HookKey.parse(str(key)) == key
    assert len(str(key)) <= 200

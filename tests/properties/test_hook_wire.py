"""Events for integrators: what is kept is what came, and nothing but a good event is taken."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contract.user_ids import is_user_id
from notify_service.webhooks.event import (
    ChatUpdated,
    HookEvent,
    MemberRemoved,
    MembersAdded,
    MessageCreated,
    NewMember,
    to_json,
)
from notify_service.webhooks.event import HookEventType as Type
from notify_service.webhooks.proto_codec import BadEventError, from_bytes, to_bytes
from notify_service.webhooks.subscription import HookKey

_ids = st.text("0123456789abcdef", min_size=24, max_size=24)
_text = st.text(max_size=40)
_users = st.text(min_size=1, max_size=128).filter(is_user_id)
_times = st.integers(0, 253_402_300_799_999)
_counts = st.integers(0, 2**64 - 1)
_bodies = st.one_of(
    st.builds(
        MessageCreated,
        id=_ids,
        sender_id=_users,
        type=st.sampled_from(["text", "image", "file"]),
        content=_text,
        client_msg_id=_text,
        mentions=st.lists(_users, max_size=5).map(tuple),
        created_at_ms=_times,
    ),
    st.builds(
        MembersAdded,
        actor_id=_users,
        members=st.lists(
            st.builds(NewMember, _users, st.sampled_from(["admin", "member"]), _times), max_size=5
        ).map(tuple),
    ),
    st.builds(MemberRemoved, actor_id=_users, user_id=_users, promoted_id=st.just("") | _users),
    st.builds(
        ChatUpdated,
        actor_id=_users,
        name=_text,
        description=_text,
        avatar=_text,
        is_public=st.booleans(),
        allow_invites=st.booleans(),
    ),
)
_events = st.builds(
    HookEvent,
    chat_id=_ids,
    epoch=_counts,
    seq=st.integers(1, 2**64 - 1),
    number=_counts,
    at_ms=_times,
    body=_bodies,
)


@given(_events)
def test_an_event_survives_being_kept(event: HookEvent) -> None:
    assert from_bytes(to_bytes(event)) == event


@given(_events)
def test_the_json_is_the_same_each_time_and_names_type_time_and_position(event: HookEvent) -> None:
    body = to_json(event)
    assert to_json(from_bytes(to_bytes(event))) == body
    document: dict[str, Any] = json.loads(body)
    assert document.keys() == {"type", "timestamp", "data"}
    assert document["type"] == event.type.value
    assert document["data"]["chatId"] == event.chat_id
    assert document["data"]["seq"] == event.seq


@given(_events)
def test_without_content_nothing_else_is_left_out(event: HookEvent) -> None:
    whole = json.loads(to_json(event))["data"]
    reduced = json.loads(to_json(event.without_content()))["data"]
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

"""A kind of event cannot be merged without what it needs: each is found by the contract's descriptors."""

from typing import Final

import pytest

from edge.protocol.events import frame_for
from mesh.ids import new_object_id
from notify_service.webhooks.event import hook_event
from parley.common.v1.options_pb2 import logged
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.consumers.projections import PROJECTIONS

KINDS: Final = {field.name: field for field in ChatEvent.DESCRIPTOR.oneofs_by_name["body"].fields}
LOGGED: Final = {name for name, field in KINDS.items() if field.GetOptions().Extensions[logged]}


def event_of(kind: str) -> ChatEvent:
    event = ChatEvent(chat_id=new_object_id(), id=new_object_id(), epoch=1, seq=1)
    getattr(event, kind).SetInParent()
    assert event.WhichOneof("body") == kind
    return event


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_frame_that_tells_clients_of_it(kind: str) -> None:
    assert frame_for(event_of(kind)) is not None


@pytest.mark.parametrize("kind", sorted(LOGGED))
def test_every_logged_kind_says_who_did_it(kind: str) -> None:
    # Integrators subscribe to what certain users do.
    body = KINDS[kind].message_type
    assert body is not None
    assert {"actor_id", "sender_id"} & set(body.fields_by_name)


@pytest.mark.parametrize("kind", KINDS)
def test_integrators_receive_every_logged_kind_and_no_other(kind: str) -> None:
    assert (hook_event(event_of(kind)) is not None) is (kind in LOGGED)


def test_what_changes_documents_is_a_logged_kind_that_exists() -> None:
    assert PROJECTIONS.keys() <= LOGGED


def test_there_are_both_logged_and_ephemeral_kinds() -> None:
    assert LOGGED, "nobody reads the option any more: the rules above are about nothing"
    assert KINDS.keys() - LOGGED

"""What all queues have in common, for each of their codecs."""

from typing import Any, Final

import pytest
from google.protobuf.message import Message

from mesh.amqp.batches import BatchCodec, has_unknown_fields
from mesh.amqp.topology import Topology
from mesh.ids import new_object_id
from notify_service.email.proto_codec import EMAILS
from notify_service.intake.proto_codec import NOTIFICATIONS
from notify_service.webhooks.proto_codec import EVENTS
from parley.common.v1 import message_pb2
from parley.events.v1 import jobs_pb2
from parley.events.v1.chat_event_pb2 import ChatEvent, Typing
from persist_service.consumers.codecs import FACTS, INDEX, PERSIST, READ

CODECS: Final[dict[str, BatchCodec[Any, Any]]] = {
    "message-persist": PERSIST,
    "message-read": READ,
    "message-index": INDEX,
    "analytics": FACTS,
    "notification-send": NOTIFICATIONS,
    "email-send": EMAILS,
    "event-hooks": EVENTS,
}
_UNKNOWN: Final = b"\xc2\x0c\x02\x08\x01"
"""Field 200, a message."""
_NOW: Final = 1_767_323_045_678


def message(**fields: Any) -> message_pb2.Message:
    known: dict[str, Any] = {
        "id": new_object_id(),
        "chat_id": new_object_id(),
        "seq": 7,
        "number": 7,
        "sender_id": "ada",
        "type": message_pb2.MESSAGE_TYPE_TEXT,
        "content": "hello",
        "client_msg_id": "key",
        "created_at_ms": _NOW,
    }
    return message_pb2.Message(**(known | fields))


def event(**fields: Any) -> ChatEvent:
    one = ChatEvent(chat_id=new_object_id(), id=new_object_id(), occurred_at_ms=_NOW, epoch=1, seq=7)
    if fields:
        sent = message(**fields)
        one.chat_id, one.id = sent.chat_id, sent.id
        one.message.CopyFrom(sent)
    return one


def job(**fields: Any) -> jobs_pb2.NewMessage:
    return jobs_pb2.NewMessage(
        type=fields.pop("kind", jobs_pb2.NOTIFICATION_TYPE_GROUP_MESSAGE),
        message=message(**fields),
        recipients=[jobs_pb2.Recipient(user_id="bob")],
    )


def of_later_release(known: Any) -> Any:
    """The same with a field that nobody here knows."""
    return type(known).FromString(known.SerializeToString() + _UNKNOWN)


BATCHES: Final[dict[str, Message]] = {
    "message-persist": jobs_pb2.PersistBatch(events=[event(), event(seq=0)]),
    "message-read": jobs_pb2.PointerBatch(pointers=[jobs_pb2.Pointer(), jobs_pb2.Pointer(user_id="a")]),
    "message-index": jobs_pb2.IndexBatch(messages=[message(), message()]),
    "analytics": jobs_pb2.AnalyticsBatch(facts=[jobs_pb2.MessageFact(), jobs_pb2.MessageFact(seq=1)]),
    "notification-send": jobs_pb2.NotificationBatch(
        notifications=[jobs_pb2.Notification(new_message=job()), jobs_pb2.Notification()]
    ),
    "email-send": jobs_pb2.EmailBatch(emails=[jobs_pb2.Email(), jobs_pb2.Email(id="1")]),
    "event-hooks": jobs_pb2.EventBatch(events=[event(), event()], subscription_id="only this"),
}


def test_there_is_one_for_each_queue() -> None:
    assert CODECS.keys() == set(Topology().queues)


@pytest.mark.parametrize("queue", CODECS)
def test_an_item_alone_is_the_same_item(queue: str) -> None:
    codec, batch = CODECS[queue], BATCHES[queue]
    items = codec.split(batch.SerializeToString())
    assert len(items) == 2
    for item in items:
        body = codec.alone(item)
        assert list(codec.split(body)) == [item]
        assert codec.message == type(batch).DESCRIPTOR.name


@pytest.mark.parametrize(
    ("codec", "wire"),
    [
        (NOTIFICATIONS, of_later_release(jobs_pb2.Notification())),
        (NOTIFICATIONS, jobs_pb2.Notification(new_message=job(kind=3))),
        (
            EMAILS,
            of_later_release(
                jobs_pb2.Email(id=new_object_id(), device_id=new_object_id(), user_id="bob", created_at_ms=1)
            ),
        ),
        (EVENTS, (of_later_release(event()), "")),
        (EVENTS, (ChatEvent(chat_id="0" * 24, seq=1, typing=Typing(user_id="ada")), "")),
    ],
    ids=["notification", "kind of chat", "e-mail", "event", "typing"],
)
def test_a_kind_that_is_not_known_here_is_left_aside(codec: BatchCodec[Any, Any], wire: Any) -> None:
    assert codec.read(wire) is None


@pytest.mark.parametrize(
    ("codec", "wire"),
    [
        (PERSIST, event(type=17)),
        (INDEX, message(type=17)),
        (NOTIFICATIONS, jobs_pb2.Notification(new_message=job(type=17))),
        (EVENTS, (event(type=17), "")),
    ],
    ids=["store", "search", "notification", "webhook"],
)
def test_a_message_of_a_type_that_is_not_known_here_is_handled(
    codec: BatchCodec[Any, Any], wire: Any
) -> None:
    assert codec.read(wire) is not None


def test_what_is_unset_is_not_unknown() -> None:
    assert not has_unknown_fields(jobs_pb2.Notification())
    assert has_unknown_fields(of_later_release(jobs_pb2.Notification()))

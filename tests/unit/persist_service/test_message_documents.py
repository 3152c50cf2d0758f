"""What is stored of a message: all that it has, but for what is derived when it is shown."""

from parley.common.v1.message_pb2 import MESSAGE_TYPE_FILE, Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.stores.messages import _to_document, _to_event, _to_message

DERIVED = {"status", "read_by", "epoch"}


def test_a_message_comes_back_with_every_field_that_it_was_logged_with() -> None:
    said = Message(
        id="a" * 24,
        chat_id="b" * 24,
        sender_id="alice",
        type=MESSAGE_TYPE_FILE,
        content="hi",
        client_msg_id="key",
        created_at_ms=1_700_000_000_000,
        mentions=["bob", "zoë"],
    )
    event = ChatEvent(
        id=said.id,
        chat_id=said.chat_id,
        occurred_at_ms=said.created_at_ms,
        epoch=2,
        seq=7,
        number=5,
        message=said,
    )
    document = _to_document(event)
    assert _to_event(document) == event
    shown = _to_message(document)
    assert {field.name for field, _ in shown.ListFields()} == set(Message.DESCRIPTOR.fields_by_name) - DERIVED
    assert (shown.seq, shown.number) == (7, 5)

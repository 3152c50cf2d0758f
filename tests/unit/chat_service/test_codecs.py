"""Encoded values come back as they were."""

from hypothesis import given
from hypothesis import strategies as st

from chat_service import event_codec, proto_codec
from chat_service.domain.events import message_sent
from chat_service.domain.model import (
    Chat,
    ChatKind,
    GroupSettings,
    Member,
    Position,
    Role,
)
from contract.batches import encoded_batch
from parley.common.v1.chat_pb2 import LatestMessage
from parley.common.v1.message_pb2 import MESSAGE_STATUS_READ, MESSAGE_TYPE_FILE, MESSAGE_TYPE_IMAGE, Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import PersistBatch

UINT = st.integers(min_value=1, max_value=2**53)
TEXT = st.text(st.characters(codec="utf-8"), max_size=50)


@given(content=TEXT, epoch=UINT, seq=UINT, number=UINT, mentions=st.lists(TEXT, max_size=3).map(tuple))
def test_an_entry_with_an_appended_position_is_a_chat_event(
    content: str, epoch: int, seq: int, number: int, mentions: tuple[str, ...]
) -> None:
    said = Message(type=MESSAGE_TYPE_IMAGE, content=content, mentions=mentions)
    entry = message_sent(said, 1_700_000_000_000).SerializeToString()
    event = ChatEvent.FromString(event_codec.at_position(entry, Position(epoch, seq, number)))
    assert (event.epoch, event.seq, event.number) == (epoch, seq, number)
    assert event.message.content == content
    position, message = event_codec.logged(event.SerializeToString())
    assert position == Position(epoch, seq, number)
    assert message is not None
    assert tuple(message.mentions) == mentions
    assert (message.seq, message.number, message.content, message.type) == (
        seq,
        number,
        content,
        MESSAGE_TYPE_IMAGE,
    )


@given(
    st.lists(st.builds(lambda text: ChatEvent(chat_id=text).SerializeToString(), st.text("ab", max_size=300)))
)
def test_a_batch_of_encoded_entries_is_a_persist_batch(entries: list[bytes]) -> None:
    batch = PersistBatch.FromString(encoded_batch(entries))
    assert [event.SerializeToString() for event in batch.events] == entries


def test_a_chat_comes_back_as_it_was() -> None:
    chat = Chat(
        id="c" * 24,
        kind=ChatKind.GROUP,
        members=(Member("alice", Role.ADMIN, 1), Member("bob", Role.MEMBER, 2)),
        member_count=2,
        created_at_ms=1,
        updated_at_ms=2,
        created_by="alice",
        owner_id="bob",
        name="Team",
        description="About",
        avatar="pic",
        settings=GroupSettings(is_public=True, allow_invites=True),
        latest=LatestMessage(text="hi", sender_id="bob", timestamp_ms=3, seq=4, type=MESSAGE_TYPE_FILE),
        seq=4,
        epoch=1,
        role=Role.ADMIN,
    )
    assert proto_codec.chat(proto_codec.chat_pb(chat)) == chat


SAID = {"chat_id", "sender_id", "type", "content", "client_msg_id", "mentions"}
GIVEN = {"id", "created_at_ms"}
SHOWN = {"seq", "number", "epoch", "status", "read_by"}


def test_of_a_message_its_sender_says_what_is_the_senders_to_say() -> None:
    said = Message(
        id="f" * 24,
        chat_id="c" * 24,
        seq=7,
        number=7,
        sender_id="alice",
        type=MESSAGE_TYPE_FILE,
        content="hi",
        client_msg_id="key",
        created_at_ms=1,
        status=MESSAGE_STATUS_READ,
        mentions=["bob"],
        epoch=3,
    )
    said.read_by.add(user_id="bob")
    # A new field of a message belongs to one of these, and to what it is checked by and stored in.
    assert {field.name for field, _ in said.ListFields()} == SAID | GIVEN | SHOWN
    assert set(Message.DESCRIPTOR.fields_by_name) == SAID | GIVEN | SHOWN
    event = message_sent(said, 2)
    message = event.message
    assert {field.name for field, _ in message.ListFields()} == SAID | GIVEN
    assert all(getattr(message, name) == getattr(said, name) for name in SAID)
    assert event.id == message.id != said.id
    assert event.occurred_at_ms == message.created_at_ms == 2

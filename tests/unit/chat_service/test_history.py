"""Status and readers of a message follow from the pointers."""

from chat_service.domain.history import READERS_SHOWN, derive
from chat_service.domain.model import MemberPointers, ReadPointer
from mesh.rpc.messages import MAX_ANSWER_BYTES
from parley.common.v1.message_pb2 import Message, MessageStatus


def message(seq: int) -> Message:
    return Message(id="m", chat_id="c", seq=seq, number=seq, sender_id="alice", content="hi")


def pointer(user: str, *, read: int = 0, at: int = 0, delivered: int = 0) -> MemberPointers:
    return MemberPointers(user, ReadPointer(read, read, at), delivered)


def test_a_message_nobody_has_is_sent() -> None:
    shown = derive(message(5), [pointer("bob", read=4, delivered=4)])
    assert (shown.status, list(shown.read_by)) == (MessageStatus.MESSAGE_STATUS_SENT, [])


def test_the_senders_own_pointer_does_not_count() -> None:
    assert (
        derive(message(5), [pointer("alice", read=9, delivered=9)]).status
        == MessageStatus.MESSAGE_STATUS_SENT
    )


def test_one_delivery_makes_it_delivered() -> None:
    shown = derive(message(5), [pointer("bob", delivered=5), pointer("eve")])
    assert (shown.status, list(shown.read_by)) == (MessageStatus.MESSAGE_STATUS_DELIVERED, [])


def test_readers_come_in_the_order_they_read() -> None:
    shown = derive(message(5), [pointer("bob", read=7, at=30), pointer("eve", read=5, at=20)])
    assert shown.status == MessageStatus.MESSAGE_STATUS_READ
    assert [(item.user_id, item.read_at_ms) for item in shown.read_by] == [("eve", 20), ("bob", 30)]


def test_only_so_many_readers_are_shown() -> None:
    shown = derive(message(1), [pointer(f"user-{number}", read=1, at=number) for number in range(80)])
    assert len(shown.read_by) == READERS_SHOWN


def test_a_page_of_the_longest_messages_that_everybody_has_read_fits_an_answer() -> None:
    people = [f"{number:03}" + "\N{GRINNING FACE}" * 125 for number in range(100)]
    longest = message(1)
    longest.MergeFrom(Message(sender_id=people[0], content="\N{GRINNING FACE}" * 7_000, mentions=people[:50]))
    shown = derive(longest, [pointer(user, read=1, at=2**41) for user in people])
    assert len(shown.read_by) == READERS_SHOWN
    assert 100 * (shown.ByteSize() + 8) < MAX_ANSWER_BYTES

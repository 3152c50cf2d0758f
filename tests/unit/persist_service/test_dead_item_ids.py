from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import MessageFact
from persist_service.consumers.codecs import FACTS, INDEX, PERSIST

CHAT, MESSAGE = "a" * 24, "b" * 24


def test_the_log_names_the_chat_and_the_message_of_a_dead_item() -> None:
    message = Message(id=MESSAGE, chat_id=CHAT, content="hello")
    assert PERSIST.ids(ChatEvent(chat_id=CHAT, message=message)) == {"chat_id": CHAT, "message_id": MESSAGE}
    assert INDEX.ids(message) == {"chat_id": CHAT, "message_id": MESSAGE}
    assert FACTS.ids(MessageFact(chat_id=CHAT, seq=5)) == {"chat_id": CHAT}

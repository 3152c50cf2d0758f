import pytest

from mesh.amqp.topology import QUEUES
from mesh.dead_letters.bodies import readable
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import EventBatch


@pytest.mark.parametrize("queue", QUEUES)
def test_what_every_queue_carries_can_be_read(queue: str) -> None:
    assert "undecoded" not in readable(queue, b"")


def test_an_event_that_no_subscriber_took_says_for_whom_it_was() -> None:
    batch = EventBatch(events=[ChatEvent(chat_id="a", seq=7)], subscription_id="b")
    assert readable("event-hooks", batch.SerializeToString()) == {
        "EventBatch": {"events": [{"chatId": "a", "seq": "7"}], "subscriptionId": "b"}
    }

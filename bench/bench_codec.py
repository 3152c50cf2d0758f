"""What a frame costs in each form of the protocol: CPU microseconds to parse and to encode, and its bytes.

The two take turns in one process; the least of all rounds counts.

    python bench/bench_codec.py [--rounds 31]
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from edge.protocol.codec import CODECS, JSON
from edge.protocol.events import frame_for
from mesh.clock import to_rfc3339
from parley.common.v1.message_pb2 import Message, MessageType
from parley.edge.v1 import frames
from parley.events.v1.chat_event_pb2 import ChatEvent, Typing
from tests.support.declared_json import client_frame

_CHAT = "c" * 24
_AT = 1_780_000_000_123
_SECONDS = 0.02  # of one round


@dataclass(frozen=True, slots=True)
class Case:
    """What is done once, in each form by its subprotocol; and how many bytes a frame has."""

    name: str
    run: dict[str, Callable[[], object]]
    sizes: dict[str, int]


def parsing(event: str, **data: object) -> Case:
    """A command."""
    frame = {"event": event, "id": 7, "data": data}
    payloads = {name: client_frame(frame) for name in CODECS}
    payloads[JSON.subprotocol] = msgspec.json.encode(frame)
    run: dict[str, Callable[[], object]] = {
        name: partial(codec.parse, payloads[name]) for name, codec in CODECS.items()
    }
    return Case(f"parse {event}", run, {name: len(payload) for name, payload in payloads.items()})


def telling(name: str, frame: Callable[[], frames.ServerFrame]) -> Case:
    """A frame of the edge, made of what the services say."""
    sizes = {name: len(codec.encode(frame())) for name, codec in CODECS.items()}
    return Case(name, {key: partial(_encode, codec.encode, frame) for key, codec in CODECS.items()}, sizes)


def _encode(encode: Callable[[frames.ServerFrame], bytes], frame: Callable[[], frames.ServerFrame]) -> bytes:
    return encode(frame())


def _event(event: ChatEvent) -> frames.ServerFrame:
    frame = frame_for(event)
    assert frame is not None
    return frame


def _cases() -> list[Case]:
    message = Message(
        id=_CHAT,
        chat_id=_CHAT,
        sender_id="alice",
        type=MessageType.MESSAGE_TYPE_TEXT,
        content="x" * 40,
        created_at_ms=_AT,
    )
    new_message = ChatEvent(chat_id=_CHAT, epoch=3, seq=77, number=70, message=message)
    typing = ChatEvent(chat_id=_CHAT, typing=Typing(user_id="bob", is_typing=True))
    sent = frames.Sent(
        message_id=_CHAT,
        chat_id=_CHAT,
        seq=77,
        number=70,
        epoch=3,
        created_at=to_rfc3339(_AT),
        duplicate=False,
    )
    return [
        parsing("send-message", chatId=_CHAT, content="x" * 40, clientMsgId="k" * 36),
        parsing("resume", chats=[{"chatId": f"{n:024x}", "seq": n, "epoch": 1} for n in range(200)]),
        telling("new-message", partial(_event, new_message)),
        telling("user-typing", partial(_event, typing)),
        telling("ack of a send", partial(frames.SendMessageAck, 7, sent)),
    ]


def _microseconds(run: Callable[[], object]) -> float:
    count, started = 0, time.process_time()
    while (spent := time.process_time() - started) < _SECONDS:
        for _ in range(10):
            run()
        count += 10
    return spent / count * 1e6


def main() -> None:
    """Prints a line for each frame."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=31)
    rounds = parser.parse_args().rounds
    for case in _cases():
        least = dict.fromkeys(CODECS, float("inf"))
        for number in range(rounds):
            for name in sorted(CODECS, reverse=bool(number % 2)):
                least[name] = min(least[name], _microseconds(case.run[name]))
        told = "   ".join(f"{name} {least[name]:7.2f} µs {case.sizes[name]:6} bytes" for name in CODECS)
        print(f"{case.name:20} {told}")


if __name__ == "__main__":
    main()

"""The forms of the client protocol, each a WebSocket subprotocol; the handshake agrees on one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from edge.protocol import binary_codec, json_codec
from edge.protocol.request import Request
from edge.websocket.framing import Opcode
from parley.edge.v1.frames import ServerFrame


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """One form. `opcode` is that of its messages.

    `encode` gives a complete WebSocket frame, header included, which many sockets may share.
    `parse` reads the payload of a message; it raises `FrameError` for one that asks for nothing known, and
    `WireError` for one after which the connection cannot go on.
    """

    subprotocol: str
    opcode: Opcode
    encode: Callable[[ServerFrame], bytes]
    parse: Callable[[bytes], Request]


JSON: Final = Codec("parley.v1.json", Opcode.TEXT, json_codec.encode, json_codec.parse)
BINARY: Final = Codec("parley.v1.protobuf", Opcode.BINARY, binary_codec.encode, binary_codec.parse)
CODECS: Final[Mapping[str, Codec]] = {codec.subprotocol: codec for codec in (JSON, BINARY)}
"""By their subprotocols."""

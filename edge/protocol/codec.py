"""The forms of the client protocol, each a WebSocket subprotocol; the handshake agrees on one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from edge.protocol import binary_codec, json_codec
from edge.protocol.request import Request
from parley.edge.v1.frames import ServerFrame


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """One form, in text messages or, if `is_binary`, in binary ones.

    `encode` gives the payload of a message. `parse` reads one; it raises `FrameError` for one that asks for
    nothing known, and `ProtocolError` for one after which the connection cannot go on.
    """

    subprotocol: str
    is_binary: bool
    encode: Callable[[ServerFrame], bytes]
    parse: Callable[[bytes], Request]


JSON: Final = Codec("parley.v1.json", is_binary=False, encode=json_codec.encode, parse=json_codec.parse)
BINARY: Final = Codec(
    "parley.v1.protobuf", is_binary=True, encode=binary_codec.encode, parse=binary_codec.parse
)
CODECS: Final[Mapping[str, Codec]] = {codec.subprotocol: codec for codec in (JSON, BINARY)}
"""By their subprotocols."""

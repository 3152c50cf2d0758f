"""The frames of RFC 6455, server side: bytes in, messages out. No I/O.

Written for this edge rather than taken from a library, for three reasons: a frame is built once and sent to
thousands, violations get the close code that names them, and a quiet connection holds no coroutine.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from tornado.speedups import websocket_mask

from edge.protocol.errors import ProtocolError
from parley.edge.v1.close_codes import CloseCode

_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_CONTROL: Final = 0x8
_MAX_CONTROL_PAYLOAD: Final = 125
_MAX_CLOSE_REASON: Final = _MAX_CONTROL_PAYLOAD - 2
# RFC 6455 section 5.2: these two in place of a length say that 2 or 8 bytes follow and hold it.
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_HEADER: Final = 2
_MASK: Final = 4
# RFC 6455 section 7.4: what may stand in a close frame. 1004 to 1006 and 1015 are reserved for local use.
_REGISTERED_CODES: Final = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))
_PRIVATE_CODES: Final = range(3000, 5000)


class Opcode(IntEnum):
    """What a frame is (RFC 6455 section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


DATA: Final = frozenset((Opcode.TEXT, Opcode.BINARY))
"""What a message may be that is no control frame."""
_KNOWN: Final = {int(opcode): opcode for opcode in Opcode}


class Message(NamedTuple):
    """A whole message, its fragments joined, or a control frame. `payload` is unmasked."""

    opcode: Opcode
    payload: bytes


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """A complete, unmasked frame: what a server sends."""
    size = len(payload)
    if size < _LENGTH_16:
        return bytes((_FIN | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _FIN | opcode, _LENGTH_16, size) + payload
    return struct.pack("!BBQ", _FIN | opcode, _LENGTH_64, size) + payload


def close_frame(code: CloseCode, reason: str = "") -> bytes:
    """The frame that ends a connection and says why: `reason`, cut to 123 bytes, or else the code's own."""
    told = (reason or code.reason).encode()[:_MAX_CLOSE_REASON].decode(errors="ignore")
    return frame(Opcode.CLOSE, struct.pack("!H", code) + told.encode())


def check_close_payload(payload: bytes) -> None:
    """Checks what a client put into its close frame (RFC 6455 sections 5.5.1 and 7.4).

    Raises:
        ProtocolError: the code may not be sent, or the reason is not UTF-8.
    """
    if not payload:
        return
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not (code in _REGISTERED_CODES or code in _PRIVATE_CODES):
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "close code that may not be sent")
    try:
        payload[2:].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(CloseCode.INVALID_UTF8, "close reason is not UTF-8") from error


class FrameReader:
    """Cuts the bytes of one client into messages.

    `feed` what arrived, then call `next` until it gives None. Holds at most `max_message_bytes` of payload
    and one read of the socket, however the bytes are cut: a length is refused before its bytes are awaited,
    and a fragment adds its payload and nothing else. `frames` counts all so far, fragments too.
    """

    __slots__ = ("_buffer", "_kind", "_max", "_parts", "_position", "frames")

    def __init__(self, max_message_bytes: int) -> None:
        self.frames = 0
        self._max = max_message_bytes
        self._buffer: bytes | bytearray = b""
        self._position = 0
        self._kind: Opcode | None = None
        self._parts = bytearray()

    def feed(self, data: bytes) -> None:
        """Takes the next bytes from the socket."""
        if self._position == len(self._buffer):
            self._buffer = data
        else:
            # Grows in place, so that a message is not copied anew for each few bytes that arrive of it.
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)
            del self._buffer[: self._position]
            self._buffer += data
        self._position = 0

    def next(self) -> Message | None:
        """The next whole message, or None until more bytes are fed.

        Raises:
            ProtocolError: the peer broke the protocol. The messages before the violation were given already.
        """
        while (found := self._next_frame()) is not None:
            message = self._assemble(*found)
            if message is not None:
                return message
        return None

    def _next_frame(self) -> tuple[int, Opcode, bytes] | None:
        buffer, start = self._buffer, self._position
        available = len(buffer) - start
        if available < _HEADER:
            return None
        first, second = buffer[start], buffer[start + 1]
        opcode = self._check_header(first, second)
        size, header = second & _LENGTH, _HEADER
        if size >= _LENGTH_16:
            header += 2 if size == _LENGTH_16 else 8
            if available < header:
                return None
            size = int.from_bytes(buffer[start + _HEADER : start + header])
        if size + len(self._parts) > self._max and opcode < _CONTROL:
            raise ProtocolError(CloseCode.TOO_BIG, f"message of more than {self._max} bytes")
        body = start + header + _MASK
        if len(buffer) < body + size:
            return None
        self._position = body + size
        self.frames += 1
        mask, payload = bytes(buffer[body - _MASK : body]), bytes(buffer[body : body + size])
        return first & _FIN, opcode, websocket_mask(mask, payload)

    def _check_header(self, first: int, second: int) -> Opcode:
        opcode = _KNOWN.get(first & _OPCODE)
        if opcode is None or first & _RESERVED:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "unknown opcode or extension")
        if not second & _MASKED:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "client frame without a mask")
        if opcode >= _CONTROL:
            if not first & _FIN or second & _LENGTH > _MAX_CONTROL_PAYLOAD:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "control frame in parts or too long")
        elif (opcode is Opcode.CONTINUATION) is (self._kind is None):
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "fragment out of order")
        return opcode

    def _assemble(self, is_final: int, opcode: Opcode, payload: bytes) -> Message | None:
        if opcode >= _CONTROL or (is_final and self._kind is None):
            return Message(opcode, payload)
        if opcode in DATA:
            self._kind = opcode
        self._parts += payload
        if not is_final or self._kind is None:
            return None
        message = Message(self._kind, bytes(self._parts))
        self._kind, self._parts = None, bytearray()
        return message

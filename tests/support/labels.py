"""A codec for tests of what reaches whom: a frame is a label, and so are its bytes."""

from typing import Final

from edge.protocol.codec import JSON, Codec
from edge.protocol.events import resync_frame
from parley.edge.v1 import frames


def labelled(label: str) -> frames.ServerFrame:
    """A frame that is told by its label; a real `resync` has its chat for one."""
    return resync_frame(label)


def _encode(frame: frames.ServerFrame) -> bytes:
    assert isinstance(frame, frames.ResyncFrame)
    return frame.data.chat_id.encode()


def payload(frame: bytes) -> bytes:
    """What is in a complete WebSocket frame of less than 64 KiB, behind its header."""
    return frame[2 if frame[1] < 126 else 4 :]


LABELS: Final = Codec("labels", is_binary=False, encode=_encode, parse=JSON.parse)

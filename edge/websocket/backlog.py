"""What a client that reads slowly has not taken yet."""

from typing import Final

from edge import metrics

_MAX_LATEST: Final = 256


class Backlog:
    """Frames in order, and apart from them those of which only the latest per key counts.

    The latter do not count towards `size` (bytes): beyond 256 keys they are dropped, before anything else is.
    """

    __slots__ = ("_frames", "_latest", "size")

    def __init__(self) -> None:
        self.size = 0
        self._frames: list[bytes] = []
        self._latest: dict[str, bytes] = {}

    def hold(self, data: bytes) -> None:
        """Keeps a frame, or several."""
        self._frames.append(data)
        self.size += len(data)

    def hold_latest(self, key: str, data: bytes) -> None:
        """Keeps a frame in place of the one before of this key."""
        known = key in self._latest
        if known or len(self._latest) >= _MAX_LATEST:
            metrics.THINNED.inc()
        if known or len(self._latest) < _MAX_LATEST:
            self._latest[key] = data

    def take(self) -> list[bytes]:
        """Everything, in the order to send it in; nothing is held any more."""
        frames = [*self._frames, *self._latest.values()]
        self.size = 0
        self._frames.clear()
        self._latest.clear()
        return frames

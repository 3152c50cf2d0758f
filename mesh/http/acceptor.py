"""Accepting connections. When descriptors run out it rests, where Tornado's would spin and log each turn."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any, Final

from mesh.logs import get_logger
from mesh.seldom import Seldom

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_AT_ONCE: Final = 128  # then others get their turn
_REST_SECONDS: Final = 0.5  # what else the process closed meanwhile, nothing tells

_log = get_logger()
_rest_log = Seldom(1.0)


class Acceptor:
    """Accepts connections of `listener`, which must not block, until `stop`.

    Args:
        listener: the listening socket; closed by `stop`.
        on_connection: takes each socket and the address of its peer.
        make_room: called when there are no descriptors; closes a connection if one can be spared, and tells.
    """

    def __init__(
        self,
        listener: socket.socket,
        on_connection: Callable[[socket.socket, Any], None],
        make_room: Callable[[], bool],
    ) -> None:
        self._listener = listener
        self._on_connection = on_connection
        self._make_room = make_room
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener.fileno(), self._accept)

    @property
    def resting(self) -> bool:
        """Whether it waits for descriptors; connections wait in the kernel meanwhile."""
        return self._resting is not None

    def resume(self) -> None:
        """A connection has ended: there is a descriptor again."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def stop(self) -> None:
        """Closes the listening socket."""
        if self._resting is not None:
            self._resting.cancel()
        else:
            self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                peer, address = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    return  # of the one connection: accept(2) passes its network errors on
                if not self._make_room():
                    self._rest(error)
                    return
                continue
            peer.setblocking(False)
            self._on_connection(peer, address)

    def _rest(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._resting = self._loop.call_later(_REST_SECONDS, self.resume)
        left_out = _rest_log.due()
        if left_out is not None:
            _log.warning("http.accept_paused", error=error.strerror, lines_left_out=left_out)

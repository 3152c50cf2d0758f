"""Connections of redis-py whose commands are packed in C by hiredis, as its blocking connections do.

Its asyncio connections pack in Python, which was a tenth of all that a send costs chat_service.
"""

from collections.abc import Iterable
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Connection, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.connection import HiredisRespSerializer

_pack: Final = HiredisRespSerializer().pack


class _Packing:
    """Mixed into a connection, before it."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """One command, as redis-py sends it."""
        packed: list[bytes] = _pack(*args)
        return packed

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Many commands as one piece: one write, whatever their size."""
        return [b"".join(piece for command in commands for piece in self.pack_command(*command))]


class _Plain(_Packing, Connection):
    pass


class _Tls(_Packing, SSLConnection):
    pass


_FASTER: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _Plain,
    SSLConnection: _Tls,
}


def pack_in_c(pool: BlockingConnectionPool) -> None:
    """Has the pool's connections packed so; call it before there are any."""
    pool.connection_class = _FASTER.get(pool.connection_class, pool.connection_class)

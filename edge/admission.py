"""Which handshakes are let in: a crowd must not take the edge away from those who are connected."""

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mesh.errors import ResourceExhausted
from mesh.token_bucket import TokenBucket
from parley.common.v1.error_pb2 import ErrorReason

_MAX_ADDRESSES: Final = 50_000  # whose rate is remembered; the least recent ones are forgotten
_RETRY_AFTER_MS: Final = (1000, 4000)  # drawn from this span, so that a crowd does not come back at once


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Handshakes that may be under way, and per second; for one address, the same and connections. 0: any."""

    at_once: int
    per_second: float
    connections_per_address: int = 0
    per_second_per_address: float = 0


class Ticket:
    """Allows one handshake and the connection that it becomes. Both methods may be called more than once."""

    __slots__ = ("_left", "_on_left", "_on_settled", "_settled")

    def __init__(self, on_settled: Callable[[], None], on_left: Callable[[], None]) -> None:
        self._on_settled = on_settled
        self._on_left = on_left
        self._settled = self._left = False

    def settle(self) -> None:
        """The session is open: another handshake may begin."""
        if not self._settled:
            self._settled = True
            self._on_settled()

    def leave(self) -> None:
        """The connection is gone, or there never was one."""
        self.settle()
        if not self._left:
            self._left = True
            self._on_left()


class Admission:
    """Counts handshakes and connections. `clock` gives seconds that only go forward."""

    def __init__(self, limits: AdmissionLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._under_way = 0
        self._bucket = _bucket(limits.per_second)
        self._connections: dict[str, int] = {}
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def enter(self, address: str) -> Ticket:
        """Lets a handshake of `address` begin.

        Raises:
            ResourceExhausted: `OVERLOADED`, too many of all; `TOO_MANY_CONNECTIONS` or `RATE_LIMITED`, too
                many of this address.
        """
        limits, now = self._limits, self._clock()
        if self._under_way >= limits.at_once:
            raise _refusal(ErrorReason.ERROR_REASON_OVERLOADED, "too many handshakes are under way")
        most = limits.connections_per_address
        if most and self._connections.get(address, 0) >= most:
            raise _refusal(
                ErrorReason.ERROR_REASON_TOO_MANY_CONNECTIONS, "too many connections from this address"
            )
        if limits.per_second_per_address and self._bucket_of(address).take(now):
            raise _refusal(ErrorReason.ERROR_REASON_RATE_LIMITED, "too many handshakes from this address")
        if self._bucket.take(now):
            raise _refusal(ErrorReason.ERROR_REASON_OVERLOADED, "too many handshakes")
        self._under_way += 1
        if most:
            self._connections[address] = self._connections.get(address, 0) + 1
        return Ticket(self._settled, lambda: self._left(address))

    def _bucket_of(self, address: str) -> TokenBucket:
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = _bucket(self._limits.per_second_per_address)
            if len(self._buckets) > _MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        return bucket

    def _settled(self) -> None:
        self._under_way -= 1

    def _left(self, address: str) -> None:
        count = self._connections.get(address, 0)
        if count > 1:
            self._connections[address] = count - 1
        else:
            self._connections.pop(address, None)


def _bucket(per_second: float) -> TokenBucket:
    """Holds what a second gives, at least one."""
    return TokenBucket(per_second, max(1.0, per_second))


def _refusal(reason: ErrorReason.ValueType, message: str) -> ResourceExhausted:
    wait = random.randint(*_RETRY_AFTER_MS)  # noqa: S311 - jitter, not a secret
    return ResourceExhausted(reason, message, retry_after_ms=wait)

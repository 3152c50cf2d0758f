"""Which handshakes are let in: a crowd must not take the edge away from those who are connected."""

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mesh.errors import ResourceExhausted
from mesh.http.places import FullError, Place
from mesh.token_bucket import TokenBucket
from parley.common.v1.error_pb2 import ErrorReason

_MAX_ADDRESSES: Final = 50_000  # whose rate is remembered; the least recent ones are forgotten
_RETRY_AFTER_MS: Final = (1000, 4000)  # drawn from this span, so that a crowd does not come back at once


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Handshakes that may be under way, and per second, of all and of one address. 0: any."""

    at_once: int
    per_second: float
    per_second_per_address: float = 0


class Ticket:
    """Allows one handshake and the connection that it becomes. Both methods may be called more than once."""

    __slots__ = ("_on_settled", "_place", "_settled")

    def __init__(self, on_settled: Callable[[], None], place: Place) -> None:
        self._on_settled = on_settled
        self._place = place
        self._settled = False

    def settle(self) -> None:
        """The session is open: another handshake may begin."""
        if not self._settled:
            self._settled = True
            self._on_settled()

    def leave(self) -> None:
        """The connection is gone, or there never was one."""
        self.settle()
        self._place.let_go()


class Admission:
    """Counts handshakes. `clock` gives seconds that only go forward."""

    def __init__(self, limits: AdmissionLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._under_way = 0
        self._bucket = _bucket(limits.per_second)
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def enter(self, address: str, place: Place) -> Ticket:
        """Lets a handshake of `address` begin, on the connection that has `place`.

        Raises:
            ResourceExhausted: `OVERLOADED`, too many of all; `TOO_MANY_CONNECTIONS` or `RATE_LIMITED`, too
                many of this address.
        """
        if self._under_way >= self._limits.at_once:
            raise _refusal(ErrorReason.ERROR_REASON_OVERLOADED, "too many handshakes are under way")
        try:
            place.claim(address)
        except FullError as full:
            raise no_place(full) from None
        try:
            self._take(address)
        except ResourceExhausted:
            place.let_go()
            raise
        self._under_way += 1
        return Ticket(self._settled, place)

    def _take(self, address: str) -> None:
        now = self._clock()
        if self._limits.per_second_per_address and self._bucket_of(address).take(now):
            raise _refusal(ErrorReason.ERROR_REASON_RATE_LIMITED, "too many handshakes from this address")
        if self._bucket.take(now):
            raise _refusal(ErrorReason.ERROR_REASON_OVERLOADED, "too many handshakes")

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


def no_place(full: FullError) -> ResourceExhausted:
    """What a client is told for whose connection there is no place."""
    reason = (
        ErrorReason.ERROR_REASON_TOO_MANY_CONNECTIONS
        if full.of_address
        else ErrorReason.ERROR_REASON_OVERLOADED
    )
    return _refusal(reason, str(full))


def _bucket(per_second: float) -> TokenBucket:
    """Holds what a second gives, at least one."""
    return TokenBucket(per_second, max(1.0, per_second))


def _refusal(reason: ErrorReason.ValueType, message: str) -> ResourceExhausted:
    wait = random.randint(*_RETRY_AFTER_MS)  # noqa: S311 - jitter, not a secret
    return ResourceExhausted(reason, message, retry_after_ms=wait)

"""Token buckets whose refusals queue: a refusal is free, and says when its turn comes.

Hints that are all alike would bring all who were refused back at the same moment, for one token. So each
refusal hands out the next token that was not promised to anybody yet: of n refused at once the last is
through n tokens later. Nothing but one point in time is kept for it, and those who stay away cost nothing.
The same in Redis, for buckets that processes share: `chat_service/adapters/redis/scripts/_bucket.lua`.
"""

import math
import random
from dataclasses import dataclass, field
from typing import Final

MOST_WAIT_SECONDS: Final = 60.0
"""No hint is longer: so many may be waiting that do not come back."""
_ROUNDING: Final = 1e-6  # of a token: who comes exactly when told to is not too early


@dataclass(slots=True)
class TokenBucket:
    """Holds up to ``burst`` tokens and gains ``per_second``. Times are seconds of any monotonic clock."""

    per_second: float
    burst: float
    _tokens: float = field(init=False)
    _at: float = field(init=False, default=0.0)
    _promised_until: float = field(init=False, default=-math.inf)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, now: float, price: float = 1.0) -> float:
        """Takes ``price`` tokens, all or none: 0 if they were there, else in how many seconds to come again.

        What costs more than the bucket holds is granted by a full one, which owes the rest.
        """
        self._tokens = min(self.burst, self._tokens + max(0.0, now - self._at) * self.per_second)
        self._at = now
        enough = min(price, self.burst)
        if self._tokens >= enough - _ROUNDING:
            self._tokens -= price
            return 0.0
        # When the bucket was empty, or will be once all is paid: tokens from then on are still to be had.
        emptied = now - self._tokens / self.per_second
        begin = max(self._promised_until, emptied)
        self._promised_until = min(begin + price / self.per_second, now + MOST_WAIT_SECONDS)
        return begin + enough / self.per_second - now


def hint_ms(seconds: float) -> int:
    """What to tell who is to come again in so many seconds, in whole milliseconds and never too early.

    Beyond the longest wait, turns are drawn by lot: hints that are all alike would bring all back at once.
    """
    if seconds > MOST_WAIT_SECONDS:
        seconds = random.uniform(MOST_WAIT_SECONDS / 2, MOST_WAIT_SECONDS)  # noqa: S311 - jitter, not a secret
    return math.ceil(seconds * 1_000)

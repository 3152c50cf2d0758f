"""Whether a user's token was revoked: asked of chat_service, and remembered for less than a second.

When it cannot be found out, tokens pass for a minute: an outage must not lock everyone out at its first
moment. After that they are refused, retryably: a revoked one must not get in for as long as an outage lasts.
What is known to be revoked stays so.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from edge.identity import Identity
from mesh.errors import ParleyError, Unauthenticated
from mesh.outage import Outage
from parley.chat.v1.chat_service_pb2 import CheckRevocationRequest
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.common.v1.error_pb2 import ErrorReason

_GOOD_SECONDS: Final = 0.9
_REVOKED_SECONDS: Final = 600.0
_GRACE_SECONDS: Final = 60.0
_ASK_SECONDS: Final = 1.0
_MAX_KNOWN: Final = 20_000


class _Verdict(NamedTuple):
    revoked: bool
    until: float


class Revocations:
    """Asks about tokens. `clock` gives seconds that only go forward."""

    def __init__(self, chats: ChatServiceStub, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._chats = chats
        self._clock = clock
        self._known: OrderedDict[tuple[str, int], _Verdict] = OrderedDict()
        self._failing_since: float | None = None
        self._outage = Outage("revocations.unknown", "revocations.known", clock=clock)

    async def check(self, identity: Identity) -> None:
        """Returns if the token may be used.

        Raises:
            Unauthenticated: `SESSION_REVOKED`.
            ParleyError: it cannot be found out, for more than a minute now.
        """
        key = (identity.user_id, identity.issued_at_ms)
        verdict = self._known.get(key)
        if verdict is None or self._clock() >= verdict.until:
            verdict = self._known[key] = await self._ask(*key)
            self._known.move_to_end(key)
            if len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)
        if verdict.revoked:
            raise Unauthenticated(
                ErrorReason.ERROR_REASON_SESSION_REVOKED, "the token was revoked; sign in again"
            )

    async def _ask(self, user_id: str, issued_at_ms: int) -> _Verdict:
        now = self._clock()
        request = CheckRevocationRequest(user_id=user_id, token_issued_at_ms=issued_at_ms)
        try:
            answer = await self._chats.CheckRevocation(request, timeout=_ASK_SECONDS)
        except ParleyError as error:
            self._outage.failed(code=error.code)
            if self._failing_since is None:
                self._failing_since = now
            if not error.retryable or now - self._failing_since > _GRACE_SECONDS:
                raise
            return _Verdict(revoked=False, until=now + _GOOD_SECONDS)
        self._failing_since = None
        self._outage.worked()
        return _Verdict(answer.revoked, now + (_REVOKED_SECONDS if answer.revoked else _GOOD_SECONDS))

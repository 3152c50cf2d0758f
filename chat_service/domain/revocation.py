"""When a session may not be, or may not be any more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Revocation:
    """What was revoked of one session.

    Tokens issued before ``before_ms`` are revoked, 0 when none were, None when it must be asked of the store.
    ``ended`` says that this very connection must end.
    """

    before_ms: int | None
    ended: bool = False

    def hits(self, token_issued_at_ms: int) -> bool:
        """Whether a session with a token of that time must end; 0, no time, is as old as any."""
        return self.ended or token_issued_at_ms < (self.before_ms or 0)

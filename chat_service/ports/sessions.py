"""Live connections of users: presence, leases of edges, revocations, channels."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chat_service.domain.events import UserNews
from chat_service.domain.model import (
    Session,
)
from chat_service.domain.revocation import Revocation


class Presence(Protocol):
    """Who has a live connection."""

    async def open(self, session: Session) -> bool:
        """Whether the user was offline, as far as was announced.

        Raises:
            ResourceExhausted: TOO_MANY_CONNECTIONS.
            Unavailable: Redis.
        """

    async def renew(self, sessions: Sequence[Session]) -> list[str]:
        """Keeps sessions alive; the users who were offline, as far as was announced."""

    async def close(self, session: Session) -> None:
        """Ends a session. ``departed`` answers after a grace time whether its user is offline."""

    async def departed(self, limit: int) -> list[str]:
        """Users whose last session is over for good; each is answered once, to one caller."""

    async def online(self, user_ids: Sequence[str]) -> list[str]:
        """Those of the users who have a live session."""

    async def sessions(self, user_id: str) -> list[str]:
        """Ids of the user's live connections."""


class EdgeLeases(Protocol):
    """Which edges live, so that the sessions of one that died end with it."""

    async def keep(self, edge_id: str) -> bool:
        """Keeps the edge's lease for some seconds; whether it had one."""

    async def lapsed(self, limit: int) -> list[str]:
        """Edges whose lease is over."""

    async def take(self, edge_id: str) -> bool:
        """Ends a lease that is over; False when it was kept meanwhile, or another took it."""

    async def sessions(self, edge_id: str, limit: int) -> list[Session]:
        """Some of the sessions that the edge holds."""

    async def end(self, edge_id: str) -> bool:
        """Ends the edge's lease, so that it renews all that it holds; False when it has none."""


class Revocations(Protocol):
    """What was revoked lately. Asked on every handshake, so that it must not need the store."""

    async def revoke_tokens(self, user_id: str, at_ms: int) -> int:
        """Revokes the user's tokens up to now; the time (ms) before which those were issued.

        The clock of whoever makes tokens may be off by a leeway, either way. So that time is the leeway
        before ``at_ms``, and beyond every token that ``known`` was asked about. It never moves back, and is
        forgotten after an hour.
        """

    async def end_connection(self, session: Session) -> None:
        """Notes that the connection must end; forgotten after an hour, when the session is long over."""

    async def known(self, sessions: Sequence[Session]) -> list[Revocation]:
        """What is known of each session. Tokens in doubt are noted for ``revoke_tokens``."""

    async def remember(self, stored: Mapping[str, int]) -> None:
        """Keeps what the store said, per user; whatever was revoked meanwhile wins."""


class UserChannels(Protocol):
    """The channel of each user."""

    async def publish(self, news: Mapping[str, UserNews]) -> None:
        """Tells each user's live connections. Returning does not mean that anyone heard."""

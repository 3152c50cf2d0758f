"""What the sessions of this edge share."""

import asyncio
from dataclasses import dataclass

from edge.identity import TokenVerifier
from edge.identity.revocations import Revocations
from edge.rooms.membership import Membership
from edge.rooms.replay import Replay
from edge.sessions.presence_keeper import PresenceKeeper
from edge.sessions.sends import SendQueue
from edge.traces import ClientTraces
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub


@dataclass(frozen=True, slots=True)
class SessionServices:
    """What every session of this edge works with."""

    chats: ChatServiceStub
    sends: SendQueue
    membership: Membership
    replay: Replay
    presence: PresenceKeeper
    pending_joins: asyncio.Semaphore
    verifier: TokenVerifier
    revocations: Revocations
    traces: ClientTraces
    heartbeat_seconds: float
    expiry_warning_seconds: float
    token_leeway_seconds: float

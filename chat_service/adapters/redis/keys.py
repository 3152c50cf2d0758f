"""The names of Redis keys and channels, all of them. docs/architecture.md explains each."""

from mesh.redis_cluster.slots import hash_tag

OUTBOX_INDEX = "outbox:index"
PRESENCE_INDEX = "presence:index"
PENDING_INDEX = "pending:index"
EDGES_INDEX = "edges:index"


def channel(chat_id: str) -> str:
    """Pub/sub: what happens in the chat."""
    return f"chat:{{{chat_id}}}"


def head(chat_id: str) -> str:
    """Hash: epoch, base (where it began), seq, number, members (a count), latest (last message's entry)."""
    return f"chat:{{{chat_id}}}:seq"


def members(chat_id: str) -> str:
    """Hash: user id to role, of the users asked about so far."""
    return f"chat:{{{chat_id}}}:members"


def membership_lock(chat_id: str) -> str:
    """String: held while the members are being changed."""
    return f"chat:{{{chat_id}}}:members:lock"


def membership_queue(chat_id: str) -> str:
    """Sorted set: who waits for that lock, to when that one gives up (Redis's clock, ms)."""
    return f"chat:{{{chat_id}}}:members:queue"


def pending(chat_id: str) -> str:
    """Hash: entry (a change of the members that is being made, without a position), logged (0 or 1)."""
    return f"chat:{{{chat_id}}}:members:pending"


def log(chat_id: str) -> str:
    """Stream: the recent log."""
    return f"chat:{{{chat_id}}}:messages"


def outbox(chat_id: str) -> str:
    """Hash: seq to entry, of what the broker has not confirmed."""
    return f"chat:{{{chat_id}}}:outbox"


def read(chat_id: str) -> str:
    """Hash: user id to read pointer."""
    return f"chat:{{{chat_id}}}:read"


def delivered(chat_id: str) -> str:
    """Hash: user id to delivery pointer."""
    return f"chat:{{{chat_id}}}:delivered"


def dedupe(chat_id: str, sender_id: str, client_msg_id: str) -> str:
    """Hash: the first answer to a send. A colon in the sender's id is written otherwise: one ends the id."""
    sender = sender_id.replace("%", "%25").replace(":", "%3A")
    return f"chat:{{{chat_id}}}:dedupe:{sender}:{client_msg_id}"


def dedupe_uncertain(chat_id: str) -> str:
    """String: exists while sends of before the log was rebuilt may come again."""
    return f"chat:{{{chat_id}}}:dedupe-uncertain"


def typing(chat_id: str, user_id: str) -> str:
    """Sorted set: device of the user to when its typing ends, Unix milliseconds."""
    return f"chat:{{{chat_id}}}:typing:{user_id}"


def user_channel(user_id: str) -> str:
    """Pub/sub: what concerns the user."""
    return f"user:{{{user_id}}}"


def sessions(user_id: str) -> str:
    """Sorted set: connection id to when it expires, Unix milliseconds."""
    return f"user:{{{hash_tag(user_id)}}}:sessions"


def edge_sessions(edge_id: str) -> str:
    """Hash: connection id to user id, of the sessions that an edge holds."""
    return f"edge:{{{edge_id}}}:sessions"


def online(user_id: str) -> str:
    """String: when a client of the user last did something (ms); exists while the user has a live session.

    With "p" behind it where that client does not receive all chats of the user.
    """
    return f"user:{{{hash_tag(user_id)}}}:online"


def revoked(user_id: str) -> str:
    """Hash: "all" to when the user's tokens were revoked (ms), and the connections that must end."""
    return f"user:{{{hash_tag(user_id)}}}:revoked"


def non_members(user_id: str) -> str:
    """Sorted set: chats that the user is no member of, or that do not exist, to when that was asked (ms)."""
    return f"user:{{{hash_tag(user_id)}}}:non-members"


def fresh_token(user_id: str) -> str:
    """Sorted set with one member, `iat`: the latest time of a token (ms) that the clocks leave in doubt."""
    return f"user:{{{hash_tag(user_id)}}}:fresh"


def rate(user_id: str, action: str) -> str:
    """Hash: a token bucket."""
    return f"rate:{{{user_id}}}:{action}"

"""Which service may call which method: one table for the whole mesh.

A caller is who its service token says (`mesh.rpc.auth`), and with mutual TLS its certificate must say the
same (`mesh.rpc.tls`). Callers of other names are the back ends of those who run Parley: they hold the service
secret, so they may do what the mesh does for users, and nothing that only a part of the mesh does rightly.
"""

from collections.abc import Mapping
from typing import Final

ANYBODY: Final = frozenset[str]()
"""Every caller that proved who it is."""

STRANGERS: Final = frozenset({""})
"""Everybody, also callers that prove nothing; such calls are not counted among those served at once."""

Rules = Mapping[str, frozenset[str]]
"""Callers by method; ``*`` stands for the methods that are not named."""

_EDGE: Final = frozenset({"edge"})
_LIVE: Final = frozenset({"chat", "admin"})
_ASKING: Final = frozenset({"chat", "notify", "admin"})

ACCESS: Final[Mapping[str, Rules]] = {
    "parley.chat.v1.ChatService": {
        "*": ANYBODY,
        # Connections are an edge's: a session that nobody renews, or closes, would be a wrong presence.
        "OpenSession": _EDGE,
        "RenewSessions": _EDGE,
        "CloseSession": _EDGE,
    },
    "parley.persist.v1.PersistService": {
        # It checks no membership: chat_service has done that.
        "*": _LIVE,
        "GetAttention": _ASKING,
        "GetLastActive": _ASKING,
        "GetUnreadTotals": _ASKING,
        "GetChat": _ASKING,
        "GetChats": _ASKING,
        "ListChats": _ASKING,
        "GetUserNames": _ASKING,
        "ListMessages": _ASKING,
    },
    "parley.notify.v1.NotifyService": {"*": ANYBODY},
    "parley.notify.v1.WebhookService": {"*": ANYBODY},
    "grpc.reflection.v1alpha.ServerReflection": {"*": ANYBODY},
    "grpc.reflection.v1.ServerReflection": {"*": ANYBODY},
    # Asked by whatever watches over a process: kubelets, load balancers, channels.
    "grpc.health.v1.Health": {"*": ANYBODY, "Check": STRANGERS, "Watch": STRANGERS},
}


def callers_of(service: str, method: str, table: Mapping[str, Rules] = ACCESS) -> frozenset[str] | None:
    """Who may call; ``ANYBODY`` (empty) means everybody, None nobody: the table does not know the service."""
    rules = table.get(service)
    if rules is None:
        return None
    return rules.get(method, rules.get("*"))

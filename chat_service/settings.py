"""The settings of chat_service; docs/operations.md lists them."""

from typing import Annotated

from pydantic import Field

from mesh.settings import (
    AmqpUrl,
    GrpcTarget,
    Port,
    PositiveInt,
    PositiveSeconds,
    RedisUrl,
    ServerSettings,
    other_than,
)

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ChatSettings(ServerSettings):
    """Read from ``PARLEY_<FIELD>``. Rates are per user: so many per second lasting, and a burst at once."""

    redis_url: RedisUrl
    amqp_url: AmqpUrl
    persist_target: GrpcTarget = "dns:///127.0.0.1:50052"
    chat_port: Port = 50051
    chat_admin_port: Annotated[Port, other_than("chat_port")] = 9151

    chat_content_limit: Annotated[int, Field(gt=0, le=7_000)] = 4_096
    """Characters in one message. With more, a page of 100 messages would not fit into one answer of gRPC."""
    chat_recent_entries: PositiveInt = 200
    """Log entries kept in Redis per chat, about."""
    chat_recent_seconds: PositiveInt = 3_600
    """How long the recent log and cached roles outlive their last use."""
    chat_dedupe_seconds: PositiveInt = 86_400
    """How long Redis remembers a ``clientMsgId``."""
    chat_sessions_per_user: PositiveInt = 20
    """Live connections of one user."""
    chat_offline_grace_seconds: PositiveSeconds = 2.0
    """Between a user's last connection and the news that the user is offline."""

    jwt_leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """How far the clocks of this host and of the tokens' issuer may differ, as for the edge."""

    chat_send_rate: Rate = 50
    chat_send_burst: PositiveInt = 100
    chat_typing_rate: Rate = 5
    chat_typing_burst: PositiveInt = 10
    chat_read_rate: Rate = 20
    chat_read_burst: PositiveInt = 50
    chat_list_rate: Rate = 10
    chat_list_burst: PositiveInt = 100
    """Pages of chat lists; each takes time in proportion to the user's chats."""
    chat_create_rate: Rate = 2
    chat_create_burst: PositiveInt = 50
    chat_join_rate: Rate = 200
    chat_join_burst: PositiveInt = 5_000
    """Chats that one user names to join them or to resume them."""
    chat_stranger_rate: Rate = 10
    chat_stranger_burst: PositiveInt = 1_000
    """Of all chats that one user names in whatever way: those of which the user is no member."""
    chat_member_rate: Rate = 20
    chat_member_burst: PositiveInt = 1_000
    """Members that one user adds and removes, those of new groups too; an id of 128 bytes costs 2."""

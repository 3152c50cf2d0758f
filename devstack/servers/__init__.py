"""The backing servers, each a private instance that leaves nothing behind."""

from __future__ import annotations

from devstack.servers.base import BackingServer, Server
from devstack.servers.mongo import MongoServer
from devstack.servers.rabbitmq import RabbitMQServer
from devstack.servers.rabbitmq_cluster import RabbitMQCluster, RabbitMQClusterNode
from devstack.servers.redis import RedisServer
from devstack.servers.redis_cluster import RedisCluster, RedisClusterNode

__all__ = [
    "BackingServer",
    "MongoServer",
    "RabbitMQCluster",
    "RabbitMQClusterNode",
    "RabbitMQServer",
    "RedisCluster",
    "RedisClusterNode",
    "RedisServer",
    "Server",
]

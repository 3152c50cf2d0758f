"""The nodes of a RabbitMQ cluster in one URL: ``amqp://user:password@a,b:5673,c/vhost``."""

from typing import Final

from pydantic import SecretStr
from yarl import URL

from mesh.urls import parse_hosts

_PORTS: Final = {"amqp": 5672, "amqps": 5671}


def node_urls(url: SecretStr) -> tuple[URL, ...]:
    """One URL for each host, with everything else that they share."""
    hosts = parse_hosts(url.get_secret_value())
    return tuple(URL(hosts.with_host(address)) for address in hosts.addresses(_PORTS[hosts.scheme]))

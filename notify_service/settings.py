"""What notify_service needs to know."""

from mesh.settings import AmqpUrl, MeshSettings, MongoUrl, Port


class NotifySettings(MeshSettings):
    """Read from `PARLEY_AMQP_URL`, `PARLEY_MONGO_URL`, `PARLEY_NOTIFY_PORT` and so on."""

    amqp_url: AmqpUrl
    mongo_url: MongoUrl
    """The server; the database is always `parley_notify`."""
    notify_port: Port = 50053
    notify_admin_port: Port = 9153

"""RabbitMQ: the queues, a connection that comes back, confirmed publishing and batch consumers."""

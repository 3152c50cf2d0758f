"""The ports made real: MongoDB, Redis, RabbitMQ."""

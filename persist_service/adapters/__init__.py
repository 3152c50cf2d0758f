"""The ports on RabbitMQ."""

"""The ports on Redis, RabbitMQ and gRPC."""

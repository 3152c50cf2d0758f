"""What every Parley service stands on, and nothing about chat.

Settings, logs, lifecycle and drain, gRPC servers and channels, service-to-service authentication, errors and
their codes, RabbitMQ topology and consumers, Redis clients, readiness, metrics. ``mesh`` imports no service.
"""

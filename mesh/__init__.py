"""What every Parley service stands on, and nothing about chat.

Settings, logs, lifecycle and drain, gRPC servers and channels, service-to-service authentication, errors and
their codes, RabbitMQ topology and consumers, Redis clients, readiness, metrics. ``mesh`` imports no service.
"""

import os

# The C core of gRPC writes to standard error, between the JSON of the log, about events as ordinary as a
# drain, and as an error about each call that comes compressed, whoever makes it. Callers are told all of it.
# It reads this variable when it is imported and at no other time; mesh is imported before it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

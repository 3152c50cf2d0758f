"""The service's own log, for development."""

"""gRPC between services: servers, channels, tokens and errors."""

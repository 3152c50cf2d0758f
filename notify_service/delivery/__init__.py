"""The engine that makes attempts at deliveries, and how fast each provider may be asked."""

"""How notify_service reaches MongoDB and the providers."""

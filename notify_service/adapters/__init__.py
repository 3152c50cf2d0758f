"""How notify_service reaches MongoDB and persist_service."""

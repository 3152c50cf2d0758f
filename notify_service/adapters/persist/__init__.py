"""What persist_service is asked."""

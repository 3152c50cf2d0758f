"""What notify_service takes from the broker."""

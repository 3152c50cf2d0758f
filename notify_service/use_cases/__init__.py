"""What notify_service does, one file each."""

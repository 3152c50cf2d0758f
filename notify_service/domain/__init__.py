"""What several stages of notify_service speak of, free of I/O."""

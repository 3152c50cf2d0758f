"""What this service does, one thing per file."""

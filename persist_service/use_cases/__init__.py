"""What this service does, by subject."""

"""What waits to be notified, per user and chat, until it is dispatched."""

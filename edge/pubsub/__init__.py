"""What this edge subscribes to in Redis, and how a lost or silent subscription is noticed."""

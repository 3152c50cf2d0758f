"""The live state in Redis. Every key of one chat, or of one user, shares a cluster slot (the braces)."""

"""Web Push: browsers."""

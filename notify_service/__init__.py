"""Who is notified of what, and through which device: devices, preferences, and the ledger."""

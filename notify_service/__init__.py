"""Who is told of what, and through which device: devices, preferences, and the ledger of notifications."""

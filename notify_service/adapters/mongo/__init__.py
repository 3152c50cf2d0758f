"""Database `parley_notify`. The only modules of notify_service that know the driver."""

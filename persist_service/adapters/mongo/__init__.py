"""The database ``parley``, one collection per file. The only place that knows ``motor``."""

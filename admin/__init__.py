"""What an operator does by hand: `python -m admin <command>`; docs/operations.md is its manual.

One file per command. It stands beside the services: it knows their settings and what their databases must
look like, asks them by gRPC as any caller does, and nothing imports it.
"""

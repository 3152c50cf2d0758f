"""Webhooks: signed requests to URLs."""

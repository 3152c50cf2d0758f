"""Answers why a person was notified, or was not."""

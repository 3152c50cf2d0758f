"""The rules of notifying, free of I/O."""

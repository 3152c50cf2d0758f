"""What the use cases need of the world.

Unless a method says otherwise: it awaits one network round trip however many items it is given, and raises
``Unavailable`` (retryable) when the server behind it cannot be reached; the effect is then not known.
"""

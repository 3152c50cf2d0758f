"""The client protocol in its forms, without I/O."""

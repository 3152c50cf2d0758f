"""Digests by e-mail: whom, what, how it is rendered, and how it is delivered."""

"""The client protocols: what frames look like on the wire, free of I/O."""

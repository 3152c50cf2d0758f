"""What a chat is and what its rules are; no I/O."""

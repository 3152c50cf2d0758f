"""Which connections are in which chats: how they get in, what reaches them there, what is replayed."""

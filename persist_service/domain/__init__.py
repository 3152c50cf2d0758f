"""The values of stored chats, and rules that need no input or output."""

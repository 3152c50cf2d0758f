"""What is stored of chats: MongoDB behind gRPC, written by consumers of the broker."""

"""The live rules of chats: who may do what, order, dedupe, rate limits, typing, presence, receipts."""

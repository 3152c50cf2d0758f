"""What one user does on one connection: sessions, their commands, and what chat_service knows of them."""

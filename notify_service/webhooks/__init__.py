"""Events of chats for integrators: subscriptions, intake, delivery."""

"""From the queue `notification-send` to inboxes: who may have to be notified, and who need not."""

"""Limits that two sides state: the edge to its clients, and the service that holds them.

Text is counted in code points. Those of the WebSocket are options of `protos/parley/edge/v1` as well;
`tests/architecture/test_edge_protocol.py` holds the two equal.
"""

from typing import Final

# A message.
CLIENT_MSG_ID_LENGTH: Final = 64
MENTIONS: Final = 50

# A group.
DESCRIPTION_LENGTH: Final = 1_000
AVATAR_LENGTH: Final = 500
MEMBERS_PER_CALL: Final = 100

# Lists of chats, members and messages.
DEFAULT_PAGE_SIZE: Final = 50
PAGE_SIZE: Final = 100
PAGES: Final = 1_000
"""What `page=` can name; further back goes `before=`."""
CHATS_PER_CALL: Final = 1_000
"""Chats to join, or positions to resume from."""

# Devices, preferences and webhooks.
MUTED_CHATS: Final = 1_000
DEVICE_ADDRESS_LENGTH: Final = 4_096
LABEL_LENGTH: Final = 100
WEBHOOK_URL_LENGTH: Final = 2_048
WEBHOOK_FILTER: Final = 100
"""Types, chats or users that a subscription names."""
DEFAULT_RECORDS: Final = 100
RECORDS: Final = 500
"""Of the ledger, or deliveries of a webhook, in one answer."""

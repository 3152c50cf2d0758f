"""One WebSocket from the socket to whole messages: framing, buffers, prices and the transport under it."""

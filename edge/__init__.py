"""The edge: connections, rooms on this node, the client protocols and REST. It stores nothing."""

"""HTTP/1.1 as every process serves it: Tornado's protocol, and around it the limits of connections."""

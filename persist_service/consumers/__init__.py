"""The queues that this service consumes: protobuf in, outcomes out."""

"""PersistService over gRPC: protobuf in, protobuf out."""

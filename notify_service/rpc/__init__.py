"""gRPC in: protobuf to values and back, nothing else."""

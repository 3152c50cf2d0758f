"""Writes what follows from `protos/`: Python source into `gen/`. `make protos` runs it after protoc."""

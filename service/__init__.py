"""The edge: command line and, later, the gRPC service."""

"""A REST face for any gRPC upstream, made from its descriptors as grpc-gateway makes it."""

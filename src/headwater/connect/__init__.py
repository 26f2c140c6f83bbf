"""The Spark Connect front: the only room that knows gRPC and protobuf."""

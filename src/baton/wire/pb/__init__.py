"""Generated protobuf code of the network's messages (from ``proto/``; ``scripts/proto`` makes it, a test compares)."""

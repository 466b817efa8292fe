"""Storage adapters: renditions, spooled segments, secrets and the data directory."""

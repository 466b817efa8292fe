"""The video domain: segments, sessions, and which engine takes them. Knows nothing of money, ports or storage."""

"""Configuration: what an operator may set, where each value came from, and what it must satisfy."""

"""Talks to a node from outside, as a gateway would: demo, probe and measurement."""

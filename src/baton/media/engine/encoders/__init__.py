"""Encoders: one file each behind one port, and the registry that names them."""

"""Bytes in, bytes out: the service port, its protocols and the network's messages. No decisions are made here."""

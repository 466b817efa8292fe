"""Shared vocabulary of every room: units, ids, errors, signatures, capabilities and profiles. Imports no other room."""

"""Shared vocabulary of every room: units, ids, errors, signatures, capabilities and profiles. Imports nothing of ours."""

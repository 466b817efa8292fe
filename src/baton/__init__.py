"""Baton: the Livepeer orchestrator. ``app`` assembles the rooms; ARCHITECTURE.md is the map."""

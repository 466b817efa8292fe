"""Tests of Baton."""

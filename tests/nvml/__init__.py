"""A driver library of NVIDIA that a test writes: compiled from C, scripted by a file."""

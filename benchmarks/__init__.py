"""Benchmarks: each compares with the best known way to do the same on the same machine in the same run."""

"""Cards of this machine: which there are, how they fare, and whether they can still be trusted with a stream."""

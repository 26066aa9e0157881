"""Symbolic tensors and the graph that ops and layers record when they are called on them; the same on every backend."""

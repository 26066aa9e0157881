"""Compile, fit, evaluate, predict: one loop over one kind of data for every backend."""

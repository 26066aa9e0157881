"""Compile, fit, evaluate, predict: one loop (``loop``) over one kind of data (``data``) for every backend, and callbacks."""

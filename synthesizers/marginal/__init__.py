"""Generators on noisy marginals: one engine, one published method a file."""

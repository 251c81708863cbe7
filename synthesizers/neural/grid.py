"""The grid gradients are cut to before noise is added."""

GRID = 1 << 20
"""Steps of the grid in a norm of 1: the sensitivity of a sum of gradients of norm 1."""

"""How far the synthetic table is from the real one, and what it is good for."""

"""Controlled experiments before anybody trains on synthetic rows: what to mix, what to mend, and whether it helps."""

"""Measurements that do not belong in a unit test: speed, utility, certificates."""

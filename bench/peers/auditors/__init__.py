"""Existing auditors, each in an environment of its own, asked about the same rows what our audits are asked."""

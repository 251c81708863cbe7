"""Existing systems beside ours: what they are, how they are installed and asked, each in an environment of its own."""

"""Jobs: who runs them, in which process, and what happens when either dies."""

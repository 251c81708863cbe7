"""The ways in: who asked, and in what order."""

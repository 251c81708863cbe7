"""One module a system, run by the Python of that system's environment: nothing of ours but this folder is imported."""

"""A released table described in other people's standards, each from what its recipient may know."""

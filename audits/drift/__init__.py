"""Whether a new version of a table is still the one a release was made from: two sets of bought counts compared."""

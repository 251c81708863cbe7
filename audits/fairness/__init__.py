"""Who is left out, and whether synthesis made a decision less fair."""

"""From outcomes to a verdict, and from a verdict to a sealed bundle."""

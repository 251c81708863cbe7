"""What the synthetic rows are worth to somebody who learns from them; the deep suite's part, in several repeats."""

"""What is bought with budget and may therefore leave: counts over units, at thresholds no real row had a part in."""

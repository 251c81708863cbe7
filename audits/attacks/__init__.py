"""What an attacker who sees the released table learns of the people in it."""

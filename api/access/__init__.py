"""Who somebody is and what they may do: persons, roles, passwords, API keys, browser sessions. No web framework."""

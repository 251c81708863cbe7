"""Files of the service, where nothing of a private row lies in the clear, and the keys whose end is the rows' end."""

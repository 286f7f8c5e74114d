"""Which limit is in force, and why. Pure."""

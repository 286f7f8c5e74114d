"""What the site draws, how that is known, and how much of it nobody controls. Pure."""

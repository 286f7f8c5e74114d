"""Numbered SQL, applied in order; a file that was released never changes."""

"""SQL migrations of the samples, in the order of their numbers."""

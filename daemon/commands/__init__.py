"""Signed quotas, leases and commands: which count, what is answered, what is kept."""

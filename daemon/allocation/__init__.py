"""Which load runs at which operating point under which limit. Pure."""

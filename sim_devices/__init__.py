"""Simulated plant and reference exchange, for tests and for the demo."""

"""Simulated devices on MQTT."""

"""Devices that publish and obey over MQTT."""

"""Simulated devices on Modbus TCP; shares no protocol code with the drivers that it tests."""

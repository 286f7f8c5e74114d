"""Modbus TCP: values in registers, frames, read planning, links and the fleet on top of them."""

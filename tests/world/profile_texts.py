"""Profiles of devices that nobody builds, to be changed by a test."""

METER = """
title = "T"
role = "circuit-meter"
trust = "simulated"
sources = ["s"]
nameplate_w = 0
period_s = 1.0
[modbus]
function = 3
word_order = "big"
[[points]]
name = "power"
address = 10
type = "u16"
[[points]]
name = "energy_import"
address = 13
type = "u32"
"""
IDENTITY = """
[[points]]
name = "model"
address = 100
type = "u16"
[[texts]]
name = "vendor"
address = 110
words = 2
[[identity]]
point = "model"
values = [7, 8]
[[identity]]
point = "vendor"
texts = ["ACME"]
"""
ORDERS = """
[output]
kind = "hash"
full = 100
[setpoint]
point = { address = 20, type = "u16" }
sleep_value = 0
no_limit_value = 0xFFFF
sleep_w = 10
floor_w = 500
ceiling_w = 1000
step_w = 10
latency_down_s = 1
latency_up_s = 1
settle_s = 1
min_off_s = 0
restarts_on_write = false
persistent = false
hard_off = true
[[operating_points]]
name = "sleep"
watts = 10
value = 0
[[operating_points]]
name = "full"
watts = 1000
value = 1
"""
LOAD = (
    METER.replace('"circuit-meter"', '"load"').replace("nameplate_w = 0", "nameplate_w = 1000")
    + IDENTITY
    + ORDERS
)

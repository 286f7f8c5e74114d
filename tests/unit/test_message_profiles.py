"""A wrong profile of an MQTT device is refused with file and key."""

import pytest

from drivers.errors import ProfileError
from drivers.message_map import Acknowledgement, MessageCommand, MqttMap
from drivers.profiles import parse_profile

PLUG = """
title = "T"
role = "load"
trust = "simulated"
sources = ["s"]
nameplate_w = 1000
period_s = 10
[output]
kind = "hash"
full = 1
[mqtt]
state_topic = "tele/{prefix}/SENSOR"
period_s = 10
[[mqtt.topics]]
name = "switch"
topic = "tele/{prefix}/STATE"
[mqtt.online]
topic = "tele/{prefix}/LWT"
online = "Online"
offline = "Offline"
[[points]]
name = "power"
field = "ENERGY.Power"
[[points]]
name = "state"
topic = "switch"
field = "POWER"
words = { ON = 1, OFF = 0 }
[[message_vectors]]
payload = '{"ENERGY":{"Power":5}}'
values = { power = 5 }
origin = "derived"
source = "s"
[setpoint]
command_topic = "cmnd/{prefix}/POWER"
sleep_payload = "OFF"
no_limit_payload = "ON"
sleep_w = 0
floor_w = 1000
ceiling_w = 1000
step_w = 1
latency_down_s = 1
latency_up_s = 1
settle_s = 1
min_off_s = 0
restarts_on_write = true
persistent = false
hard_off = true
[[operating_points]]
name = "off"
watts = 0
value = 0
[[operating_points]]
name = "full"
watts = 1000
value = 1
"""
SWITCH = 'topic = "tele/{prefix}/STATE"'
VECTOR = "values = { power = 5 }"
OFF = 'sleep_payload = "OFF"'
FIELD = 'field = "ENERGY.Power"'

REFUSED = {
    "a topic without the prefix": (SWITCH, 'topic = "tele/STATE"', r"t\.toml: mqtt\.topics\.0\.topic: "),
    "the prefix twice": (SWITCH, 'topic = "{prefix}/{prefix}"', r"mqtt\.topics\.0\.topic: "),
    "half a wildcard": (SWITCH, 'topic = "tele/{prefix}/S+"', "whole level"),
    "a wildcard for all, and more": (SWITCH, 'topic = "{prefix}/#/S"', "whole level"),
    "a topic twice": (SWITCH, 'topic = "tele/{prefix}/SENSOR"', r"mqtt\.topics\.0\.topic: .* is there twice"),
    "a topic's name twice": ('name = "switch"', 'name = "state"', r"mqtt\.topics\.0\.name: 'state' is there"),
    "a topic that nothing is read from": ('topic = "switch"\n', "", "mqtt.topics: switch has no point"),
    "a topic that is not there": ('topic = "switch"', 'topic = "swich"', r"points\.1\.topic: there is no"),
    "power only now and then": (FIELD, FIELD + '\ntopic = "switch"', "the control needs power from a topic"),
    "online and offline alike": ('"Offline"', '"Online"', r"mqtt\.online\.offline: is the same"),
    "a wildcard in the online topic": ("/LWT", "/+", r"mqtt\.online\.topic: "),
    "no path": (FIELD, 'field = "ENERGY..Power"', r"points\.0\.field: .* is no path"),
    "no field": (FIELD, "", r"points\.0: a point of an MQTT device has a field"),
    "a register": (FIELD, FIELD + "\naddress = 1", r"points\.0: .* and no address"),
    "a slow point": (FIELD, FIELD + "\nslow = true", r"points\.0\.slow: "),
    "a field of a plain message": (
        "period_s = 10\n[[",
        'period_s = 10\nformat = "plain"\n[[',
        "whole",
    ),
    "words and a scale": ("words = {", "scale = 2\nwords = {", r"points\.1\.words: "),
    "kilowatts": (FIELD, FIELD + '\nunit = "V"', "power is always in 'W'"),
    "a vector of another topic": (
        VECTOR,
        "values = { state = 5 }",
        r"message_vectors\.0: state has no point",
    ),
    "a vector of no point": (VECTOR, "values = { x = 5 }", r"message_vectors\.0: state has no point 'x'"),
    "a vector that says nothing": (VECTOR, "", r"message_vectors\.0: says nothing"),
    "a vector of both": (VECTOR, VECTOR + '\nabsent = ["power"]', r"message_vectors\.0\.absent: power"),
    "registers' vectors": (
        "[setpoint]",
        '[[texts]]\nname = "x"\naddress = 1\nwords = 1\n[setpoint]',
        "Modbus",
    ),
    "no message for sleep": (OFF, "", "needs command_topic, sleep_payload"),
    "a wildcard in the command": ("cmnd/{prefix}/POWER", "cmnd/{prefix}/+", r"setpoint\.command_topic: "),
    "a limit that nothing names": ("floor_w = 1000", "floor_w = 500", r"setpoint\.payload: without it"),
    "a read-back that is not there": (OFF, OFF + '\nacknowledged_by = "read-back"', "no point setpoint"),
    "an acknowledgement of another kind": (OFF, OFF + '\nacknowledged_by = "hope"', "acknowledged_by: "),
    "a raw value": (OFF, OFF + "\nsleep_value = 0", "belong to a Modbus device"),
}


@pytest.mark.parametrize(("old", "new", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_profile_is_refused_with_file_and_key(old: str, new: str, message: str) -> None:
    assert PLUG.count(old) >= 1
    parse_profile("t", PLUG, "t.toml")
    with pytest.raises(ProfileError, match=message):
        parse_profile("t", PLUG.replace(old, new, 1), "t.toml")


METER = """
title = "T"
role = "circuit-meter"
trust = "simulated"
sources = ["s"]
nameplate_w = 0
period_s = 1
[modbus]
function = 3
word_order = "big"
[[points]]
name = "power"
address = 0
type = "u32"
"""


@pytest.mark.parametrize("key", ['field = "a"', 'topic = "state"', "text = true", "words = { a = 1 }"])
def test_a_register_has_no_keys_of_a_message(key: str) -> None:
    with pytest.raises(ProfileError, match=r"points\.0: a Modbus point has address and type"):
        parse_profile("t", METER + key, "t.toml")


def test_a_register_map_has_no_message_vectors() -> None:
    vector = '[[message_vectors]]\npayload = \'{}\'\nabsent = ["power"]\norigin = "derived"\nsource = "s"\n'
    with pytest.raises(ProfileError, match="message_vectors: belong to an MQTT device"):
        parse_profile("t", METER + vector, "t.toml")


@pytest.mark.parametrize(
    ("key", "by"), [("", Acknowledgement.SENT), ('acknowledged_by = "power"', Acknowledgement.POWER)]
)
def test_what_acknowledges_an_order_is_said_or_follows_from_the_points(key: str, by: Acknowledgement) -> None:
    profile = parse_profile("t", PLUG.replace(OFF, f"{OFF}\n{key}"), "t.toml")
    assert profile.setpoint is not None
    assert isinstance(profile.setpoint.command, MessageCommand)
    assert profile.setpoint.command.acknowledged_by is by
    reads_back = parse_profile("t", PLUG.replace('name = "state"', 'name = "setpoint"'), "t.toml")
    assert reads_back.setpoint is not None
    assert isinstance(reads_back.setpoint.command, MessageCommand)
    assert reads_back.setpoint.command.acknowledged_by is Acknowledgement.READ_BACK


def test_what_is_exported_is_import_with_a_minus() -> None:
    profile = parse_profile("t", PLUG.replace(FIELD, FIELD + '\nsign = "export"'), "t.toml")
    assert isinstance(profile.map, MqttMap)
    assert profile.map.points[0].scale == -1.0

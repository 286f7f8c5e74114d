"""The messages and the wrong answers of simulated devices."""

import json

import pytest

from drivers.profile import MessageCommand, MqttMap
from drivers.profiles import load_profile
from sim_devices.faults import AnswerFault
from sim_devices.modbus.frames import NotModbusError, Request, registers, take_request
from sim_devices.modbus.spoiling import spoil
from sim_devices.mqtt.memory import topic_matches
from sim_devices.mqtt.messages import NotAnOrderError, read_order, write_states

RACK = load_profile("sim-gpu-rack")
NESTED = MessageCommand("t", '{"a": {"w": {watts}}, "v": 1}', '{"sleep": true}', '{"a": null}')


def rack_command() -> MessageCommand:
    assert RACK.setpoint is not None
    assert isinstance(RACK.setpoint.command, MessageCommand)
    return RACK.setpoint.command


@pytest.mark.parametrize(
    ("payload", "watts"),
    [(b'{"power_limit_w":15000}', 15000), (b'{ "power_limit_w" : 0 }', 0), (b'{"power_limit_w":null}', None)],
)
def test_an_order_is_read_whatever_its_spacing(payload: bytes, watts: float | None) -> None:
    assert read_order(rack_command(), payload) == watts


def test_an_order_may_be_nested() -> None:
    assert read_order(NESTED, b'{"v": 1, "a": {"w": 7}}') == 7
    assert read_order(NESTED, b'{"sleep": true}') == 0
    assert read_order(NESTED, b'{"a": null}') is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"7",
        b"{}",
        b'{"power_limit_w": "7"}',
        b'{"power_limit_w": -1}',
        b'{"power_limit_w": 7, "x": 1}',
        b'{"power_limit_w": true}',
    ],
)
def test_what_is_no_order_is_refused(payload: bytes) -> None:
    with pytest.raises(NotAnOrderError):
        read_order(rack_command(), payload)


def test_a_state_says_null_for_what_is_not_available_and_integers_for_whole_numbers() -> None:
    assert isinstance(RACK.map, MqttMap)
    (state,) = (
        json.loads(said)
        for said in write_states(RACK.map, "r1", {"power": 20400.0, "setpoint": None}).values()
    )
    assert state["power_w"] == 20400
    assert state["power_limit_w"] is None
    assert b'"power_w": 20400,' in write_states(RACK.map, "r1", {"power": 20400.0})["r1/state"]


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/+", "a/b/c", False),
        ("a/b", "a", False),
        ("a", "a/b", False),
    ],
)
def test_topics_match_filters_as_in_the_standard(topic_filter: str, topic: str, matches: bool) -> None:  # noqa: FBT001 - a table
    assert topic_matches(topic_filter, topic) is matches


def test_requests_are_taken_one_by_one_however_they_arrive() -> None:
    one = bytes.fromhex("000100000006010300000002")
    buffer = bytearray()
    taken = []
    for byte in one + one:
        buffer.append(byte)
        if (request := take_request(buffer)) is not None:
            taken.append(request)
    assert taken == [Request(1, 1, bytes.fromhex("0300000002"))] * 2


@pytest.mark.parametrize("header", ["00010001000601", "00010000000101", "0001000000ff01"])
def test_a_header_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(NotModbusError):
        take_request(bytearray.fromhex(header))


@pytest.mark.parametrize("fault", list(AnswerFault))
def test_every_answer_fault_spoils_a_reading_and_none_breaks_on_an_exception(fault: AnswerFault) -> None:
    request = Request(1, 1, bytes.fromhex("0300000002"))
    right = bytes.fromhex("000100000007010304") + bytes(4)
    assert spoil(fault, request, registers(3, (0, 0))) != right
    assert spoil(fault, request, b"\x83\x02")

"""Every MQTT profile: its vectors, and from the simulator's messages through the real driver."""

import asyncio
import dataclasses
import math

import pytest

from drivers.address import MqttAddress
from drivers.device import Device
from drivers.message_map import Format, MessageCommand, MessageVector, MqttMap
from drivers.mqtt.message import point_reader
from drivers.origin import Origin
from drivers.profile import Profile, Trust
from drivers.profiles import load_profile, profile_names
from drivers.quantity import Quantity
from drivers.setpoint import command_message
from sim_devices.mqtt.memory import MemoryBroker
from sim_devices.mqtt.messages import read_order, write_states
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.recording_sink import RecordingSink, running

OVER_MQTT = [p for name in profile_names() if isinstance((p := load_profile(name)).map, MqttMap)]
REAL = [profile for profile in OVER_MQTT if profile.trust is not Trust.SIMULATED]


def message_map(profile: Profile) -> MqttMap:
    assert isinstance(profile.map, MqttMap)
    return profile.map


VECTORS = [
    pytest.param(profile, vector, id=f"{profile.name}-{index}")
    for profile in OVER_MQTT
    for index, vector in enumerate(message_map(profile).vectors)
]


@pytest.mark.parametrize(("profile", "vector"), VECTORS)
def test_a_message_means_what_the_vector_says(profile: Profile, vector: MessageVector) -> None:
    topics = {topic.name: topic for topic in message_map(profile).topics}
    values = point_reader(message_map(profile), topics[vector.topic]).read(vector.payload.encode())
    for name, wanted in vector.values.items():
        value = values[name]
        if wanted is None:
            assert value is None
        else:
            assert value is not None
            assert math.isclose(value, wanted, rel_tol=1e-9), name


@pytest.mark.parametrize("profile", REAL, ids=lambda profile: profile.name)
def test_a_real_device_has_a_copied_message_on_each_topic_and_warns(profile: Profile) -> None:
    shown = message_map(profile)
    copied = {vector.topic for vector in shown.vectors if vector.origin is Origin.SOURCE}
    assert copied == {topic.name for topic in shown.topics}
    assert profile.warning
    assert not profile.may_be_written
    told = {name for vector in shown.vectors for name in vector.values}
    assert told == {point.name for point in shown.points}


def test_the_plugs_and_the_container_ship() -> None:
    assert {"tasmota-plug", "shelly-gen2-plug", "bitdeer-d40"} == {profile.name for profile in REAL}


@pytest.mark.parametrize("profile", OVER_MQTT, ids=lambda profile: profile.name)
def test_what_the_simulator_says_is_what_the_driver_hears(profile: Profile) -> None:
    shown = message_map(profile)
    values: dict[str, float | None] = {
        point.name: max(point.words.values()) if point.words else (1000 + index) * point.scale
        for index, point in enumerate(shown.points)
    }

    async def main(_loop: VirtualLoop) -> None:
        broker, sink = MemoryBroker(), RecordingSink()
        device = Device("d", profile, MqttAddress("hall-3"), profile.period_s)
        async with running([device], sink, broker.bus()):
            await asyncio.sleep(0.1)
            for topic, payload in write_states(shown, "hall-3", values).items():
                broker.publish(topic, payload)
            await asyncio.sleep(0.1)
        heard: dict[Quantity, float | None] = {}
        for sample in sink.samples:
            heard |= sample.values
        wanted = {point.quantity: values[point.name] for point in shown.points if point.quantity}
        assert heard == pytest.approx(wanted, rel=1e-9)

    run_virtual(main)
    for topic in shown.topics:
        (payload,) = (
            said
            for place, said in write_states(shown, "hall-3", values).items()
            if place == topic.topic.replace("{prefix}", "hall-3")
        )
        read = point_reader(shown, topic).read(payload)
        assert read == pytest.approx(
            {point.name: values[point.name] for point in shown.points_of(topic.name)}
        )


@pytest.mark.parametrize("profile", OVER_MQTT, ids=lambda profile: profile.name)
def test_what_is_not_available_stays_absent_on_the_way(profile: Profile) -> None:
    shown = message_map(profile)
    for topic, payload in zip(shown.topics, write_states(shown, "p", {}).values(), strict=True):
        for name, value in point_reader(shown, topic).read(payload).items():
            point = next(point for point in shown.points if point.name == name)
            # A switch is on or off: without a limit it is on.
            unlimited = point.quantity is Quantity.SETPOINT and point.words is not None
            assert (value is None) != unlimited


@pytest.mark.parametrize("profile", OVER_MQTT, ids=lambda profile: profile.name)
def test_the_simulated_device_understands_its_own_orders(profile: Profile) -> None:
    setpoint = profile.setpoint
    assert setpoint is not None
    assert isinstance(setpoint.command, MessageCommand)
    for watts in (0.0, None):
        topic, payload = command_message(setpoint, setpoint.command, "hall-3", watts)
        assert topic == setpoint.command.topic.replace("{prefix}", "hall-3")
        assert read_order(setpoint.command, payload) == watts
    if setpoint.command.payload is None:
        # On or off: no order may be lost for being between them.
        _, payload = command_message(setpoint, setpoint.command, "hall-3", setpoint.floor_w)
        assert payload == setpoint.command.no_limit_payload.encode()


def test_a_plain_topic_goes_round_too() -> None:
    shown = message_map(OVER_MQTT[0])
    power = next(point for point in shown.points if point.quantity is Quantity.POWER)
    plain = MqttMap((dataclasses.replace(power, text=False, scale=10.0),), "{prefix}/+/p", 1.0, Format.PLAIN)
    ((topic, payload),) = write_states(plain, "x", {"power": 1230.0}).items()
    assert (topic, payload) == ("x/sim/p", b"123")
    assert point_reader(plain, plain.topics[0]).read(payload) == {"power": 1230.0}

"""A device that publishes its state on MQTT and takes orders there."""

import asyncio
from collections.abc import Mapping
from math import isnan

from drivers.message_map import topic_of
from drivers.ports import TopicBus
from drivers.profile import MessageCommand, MqttMap, Profile
from drivers.quantity import Quantity
from sim_devices.faults import AnswerFault, DeviceFaults
from sim_devices.instruments import Instrument
from sim_devices.mqtt.messages import NotAnOrderError, read_order, write_states


class MqttDevice:
    """One device under a topic prefix, on whatever bus it is given: a row of its kind's instrument."""

    def __init__(
        self,
        profile: Profile,
        prefix: str,
        instrument: Instrument,
        row: int,
        faults: DeviceFaults,
        bus: TopicBus,
    ) -> None:
        if not isinstance(profile.map, MqttMap):
            raise TypeError(f"{profile.name} is no MQTT profile")
        self._map = profile.map
        self._prefix = prefix
        self._instrument = instrument
        self._row = row
        self._faults = faults
        self._bus = bus
        self._frozen: dict[str, bytes] | None = None
        command = profile.setpoint.command if profile.setpoint else None
        if isinstance(command, MessageCommand):
            self._command = command
            bus.subscribe(topic_of(command.topic, prefix), self._ordered)

    async def run(self) -> None:
        """Publish once a period until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._publish()
            due += self._map.period_s
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _publish(self) -> None:
        faults = self._faults
        if faults.silent or faults.refuse:
            return
        if faults.drops():
            return
        states = write_states(self._map, self._prefix, self._values())
        if faults.frozen:
            self._frozen = states = self._frozen or states
        else:
            self._frozen = None
        if faults.answer is not None:
            states = {topic: _spoil(faults.answer, state) for topic, state in states.items()}
        if faults.latency_s > 0:
            asyncio.get_running_loop().call_later(faults.latency_s, self._send, states)
        else:
            self._send(states)

    def _values(self) -> dict[str, float | None]:
        faults, rows = self._faults, slice(self._row, self._row + 1)
        if faults.unavailable:
            return {}
        found = {name: float(read(rows)[0]) for name, read in self._instrument.readers.items()}
        values = {name: None if isnan(value) else value for name, value in found.items()}
        if faults.readback is not None:
            values[Quantity.SETPOINT] = faults.readback.watts
        return values

    def _send(self, states: Mapping[str, bytes]) -> None:
        # Without a connection the messages are lost, as the device's own would be.
        for topic, state in states.items():
            self._bus.publish(topic, state, qos=0)

    def _ordered(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001, ARG002 - the port's signature
        faults = self._faults
        if faults.silent or faults.refuse or faults.refuse_writes is not None:
            return
        try:
            watts = read_order(self._command, payload)
        except NotAnOrderError:
            # A node agent drops what it does not understand; the missing effect is what the site sees.
            return
        self._instrument.write(self._row, Quantity.SETPOINT, watts)


def _spoil(fault: AnswerFault, state: bytes) -> bytes:
    match fault:
        case AnswerFault.GARBAGE:
            return b"\xff" * 16
        case AnswerFault.LONG:
            return state[:-1] + b', "unknown": 1}'
        case _:
            return state[: len(state) // 2]

"""All MQTT devices of a site, over its broker."""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping, Sequence

from drivers.address import MqttAddress
from drivers.device import Device
from drivers.mqtt.message import MessageError, read_state
from drivers.ports import Absence, FleetSink, TopicBus, WriteResult
from drivers.profile import MessageCommand, MqttMap
from drivers.quantity import Quantity
from drivers.setpoint import command_message, effective_watts

SILENT_AFTER_PERIODS = 3
CHECK_S = 0.5
"""How often silence and unanswered orders are looked for."""
ORDER_TIMEOUT_S = 5.0
"""So long a device may take to say that it holds a new power limit."""
_log = logging.getLogger(__name__)


class _Publisher:
    """What is known about one device between its messages."""

    __slots__ = (
        "device",
        "heard_at",
        "map",
        "ordered",
        "ordered_at",
        "ordered_w",
        "prefix",
        "row",
        "trouble",
    )

    def __init__(self, row: int, device: Device) -> None:
        assert isinstance(device.address, MqttAddress)
        assert isinstance(device.profile.map, MqttMap)
        self.row = row
        self.device = device
        self.prefix = device.address.prefix
        self.map = device.profile.map
        self.heard_at = 0.0
        """When the last good message came, or it was last reported silent."""
        self.ordered = False
        """An order went out and the device has not said yet that it holds it."""
        self.ordered_w: float | None = None
        self.ordered_at = 0.0
        self.trouble = False

    @property
    def reads_back(self) -> bool:
        """Whether the device says which limit it holds."""
        return any(point.quantity is Quantity.SETPOINT for point in self.map.points)

    def holds(self, limit_w: float | None) -> bool:
        """Whether a read-back shows the order."""
        setpoint = self.device.profile.setpoint
        if setpoint is None or limit_w is None:
            return False
        if self.ordered_w is not None and self.ordered_w <= 0:
            return limit_w == 0
        return limit_w > 0 and abs(limit_w - effective_watts(setpoint, self.ordered_w)) < setpoint.step_w


class MqttFleet:
    """Listens to MQTT devices and orders them; implements `drivers.ports.Fleet`.

    Args:
        devices: row and device, each with an `MqttAddress`.
        sink: who learns of it.
        bus: the way to the broker.
    """

    def __init__(self, devices: Sequence[tuple[int, Device]], sink: FleetSink, bus: TopicBus) -> None:
        self._sink, self._bus = sink, bus
        self._publishers = {row: _Publisher(row, device) for row, device in devices}
        self._tally: dict[str, int] = dict.fromkeys(("ok", *Absence, "missed"), 0)
        self._time: Callable[[], float] = _not_running

    async def run(self) -> None:
        """Listen until cancelled."""
        self._time = asyncio.get_running_loop().time
        for publisher in self._publishers.values():
            publisher.heard_at = self._time()
            topic = publisher.map.state_topic.replace("{prefix}", publisher.prefix)
            self._bus.subscribe(topic, functools.partial(self._heard, publisher))
        while True:
            await asyncio.sleep(CHECK_S)
            now = self._time()
            for publisher in self._publishers.values():
                self._check(publisher, now)

    def order(self, row: int, watts: float | None) -> None:
        publisher = self._publishers[row]
        setpoint = publisher.device.profile.setpoint
        if setpoint is None or not isinstance(setpoint.command, MessageCommand):
            raise ValueError(f"{publisher.device.id} has no set-point")
        loop = asyncio.get_running_loop()
        now = loop.time()
        topic, payload = command_message(setpoint, setpoint.command, publisher.prefix, watts)
        publisher.ordered, publisher.ordered_w, publisher.ordered_at = False, watts, now
        # Outcomes never from here: whoever orders is not ready for them yet.
        if not self._bus.publish(topic, payload, qos=1, retain=False):
            loop.call_soon(self._sink.written, row, watts, WriteResult.NOT_CONNECTED, now)
        elif publisher.reads_back:
            publisher.ordered = True
        else:
            loop.call_soon(self._sink.written, row, watts, WriteResult.ACKNOWLEDGED, now)

    def counters(self) -> Mapping[str, int]:
        return dict(self._tally)

    def _heard(self, publisher: _Publisher, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  TopicHandler
        if retained:
            return  # how old it is nobody knows
        profile = publisher.device.profile
        try:
            values = read_state(publisher.map, profile.setpoint, payload)
        except MessageError as error:
            _log.log(logging.DEBUG if publisher.trouble else logging.WARNING, "%s: %s", topic, error)
            publisher.trouble = True
            self._failed(publisher, Absence.INVALID)
            return
        now = self._time()
        publisher.heard_at, publisher.trouble = now, False
        self._tally["ok"] += 1
        # When it was measured it does not say; before the message before it, it was not.
        self._sink.sampled(publisher.row, values, now - publisher.map.period_s)
        if publisher.ordered and publisher.holds(values.get(Quantity.SETPOINT)):
            self._written(publisher, WriteResult.ACKNOWLEDGED)

    def _check(self, publisher: _Publisher, now: float) -> None:
        period_s = publisher.device.period_s
        if now - publisher.heard_at > SILENT_AFTER_PERIODS * period_s:
            publisher.heard_at += period_s  # told again once a period
            self._failed(publisher, Absence.SILENT)
        if publisher.ordered and now - publisher.ordered_at > ORDER_TIMEOUT_S:
            self._written(publisher, WriteResult.TIMED_OUT)

    def _failed(self, publisher: _Publisher, absence: Absence) -> None:
        self._tally[absence] += 1
        self._sink.failed(publisher.row, absence)

    def _written(self, publisher: _Publisher, result: WriteResult) -> None:
        publisher.ordered = False
        self._sink.written(publisher.row, publisher.ordered_w, result, publisher.ordered_at)


def _not_running() -> float:
    raise RuntimeError("the fleet is not running")

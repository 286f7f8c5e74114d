"""What is known about one MQTT device between its messages. Pure."""

from collections.abc import Mapping, Sequence

from drivers.address import MqttAddress
from drivers.device import Device
from drivers.message_map import Acknowledgement, MessageCommand, MqttMap, StateTopic, topic_of
from drivers.mqtt.message import MessageReader
from drivers.quantity import Quantity
from drivers.setpoint import effective_watts

SILENT_AFTER_PERIODS = 3
ORDER_TIMEOUT_S = 5.0
"""So long a device may at least take to show that it took an order."""
_SLACK = 0.02
"""Share of the ceiling by which a measured power may be above what was ordered."""


class Feed:
    """One topic of one device."""

    __slots__ = ("device", "heard_at", "lead", "period_s", "reader", "silent", "topic")

    def __init__(
        self, device: "Publisher", topic: StateTopic, reader: MessageReader[Quantity], *, lead: bool
    ) -> None:
        self.device = device
        self.topic = topic_of(topic.topic, device.prefix)
        self.reader = reader
        self.lead = lead
        """Its messages say how old the device's values are."""
        self.period_s = None if topic.period_s is None else topic.period_s * device.stretch
        self.heard_at = 0.0
        """When the last good message came, or it was last reported silent."""
        self.silent = False


class Order:
    """A set-point on its way."""

    __slots__ = ("at", "until", "watts")

    def __init__(self, watts: float | None, at: float, until: float) -> None:
        self.watts, self.at, self.until = watts, at, until


class Publisher:
    """A device that publishes.

    Its age is that of the topic that has its power: what other topics say comes and goes beside it, and is
    taken away when they fall silent.
    """

    __slots__ = (
        "command",
        "device",
        "feeds",
        "gone",
        "map",
        "offline",
        "order",
        "prefix",
        "row",
        "sampled_at",
        "silent",
        "stretch",
        "trouble",
    )

    def __init__(self, row: int, device: Device, readers: Sequence[MessageReader[Quantity]]) -> None:
        """`readers`: one for each topic of the profile."""
        assert isinstance(device.address, MqttAddress)
        assert isinstance(device.profile.map, MqttMap)
        self.row = row
        self.device = device
        self.prefix = device.address.prefix
        self.map = device.profile.map
        self.stretch = device.period_s / device.profile.period_s
        """It was told to publish so much more seldom than its profile says."""
        setpoint = device.profile.setpoint
        command = None if setpoint is None else setpoint.command
        self.command = command if isinstance(command, MessageCommand) else None
        lead = _leading(self.map)
        self.feeds = [
            Feed(self, topic, reader, lead=topic == lead)
            for topic, reader in zip(self.map.topics, readers, strict=True)
        ]
        self.sampled_at = float("-inf")
        """When what the leading topic said last was not yet so."""
        self.silent = 0
        """How many of its topics are."""
        self.offline = False
        self.order: Order | None = None
        self.trouble = False
        self.gone = False
        """It is no longer a device of the site."""

    def order_timeout_s(self) -> float:
        """How long its acknowledgement may take."""
        assert self.command is not None
        setpoint = self.device.profile.setpoint
        assert setpoint is not None
        quantity = Quantity.SETPOINT
        latency_s = 0.0
        if self.command.acknowledged_by is Acknowledgement.POWER:
            quantity, latency_s = Quantity.POWER, setpoint.latency_down_s
        periods_s = [feed.period_s or 0.0 for feed in self.feeds if quantity in feed.reader.keys]
        return max(ORDER_TIMEOUT_S, latency_s + 1.5 * max(periods_s, default=0.0))

    def shown(self, order: Order, values: Mapping[Quantity, float | None]) -> bool:
        """Whether values that came after an order acknowledge it."""
        setpoint = self.device.profile.setpoint
        assert self.command is not None
        assert setpoint is not None
        held_w = effective_watts(setpoint, order.watts)
        if self.command.acknowledged_by is Acknowledgement.POWER:
            power_w = values.get(Quantity.POWER)
            return power_w is not None and power_w <= held_w + _SLACK * setpoint.ceiling_w
        shown_w = values.get(Quantity.SETPOINT)
        if shown_w is None or (order.watts is not None and order.watts <= 0):
            return shown_w == 0
        return shown_w > 0 and abs(shown_w - held_w) < setpoint.step_w


def _leading(device_map: MqttMap) -> StateTopic:
    topics = device_map.topics
    for topic in topics:
        if any(point.quantity is Quantity.POWER for point in device_map.points_of(topic.name)):
            return topic
    return topics[0]

"""What a device profile says about the messages of an MQTT device."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from drivers.origin import Origin
from drivers.quantity import QUANTITY_BY_NAME, Quantity

MAIN_TOPIC = "state"
"""Name of the topic that every device has."""


class Format(StrEnum):
    """How a message is written."""

    JSON = "json"
    PLAIN = "plain"
    """The whole message is one value."""


@dataclass(frozen=True, slots=True)
class FieldPoint:
    """A value in a message of an MQTT device."""

    name: str
    field: str
    """Path in the JSON message, see `drivers.mqtt.paths`; empty in a plain one."""
    scale: float = 1.0
    unit: str = ""
    topic: str = MAIN_TOPIC
    """Name of the topic whose messages have it."""
    text: bool = False
    """The number is written as a JSON string."""
    words: Mapping[str, float] | None = dataclasses.field(default=None, hash=False)
    """What words stand for, `true` and `false` among them, in the point's unit; `None` = it is a number."""

    @property
    def quantity(self) -> Quantity | None:
        """The quantity that reaches the site table, if it is one."""
        return QUANTITY_BY_NAME.get(self.name)


@dataclass(frozen=True, slots=True)
class StateTopic:
    """Where a device publishes some of its values."""

    name: str
    topic: str
    """With `{prefix}` for the device's address; `+` and `#` as in a topic filter."""
    period_s: float | None
    """How often it publishes there; `None` = when something changes, and only what changed."""
    format: Format = Format.JSON


@dataclass(frozen=True, slots=True)
class OnlineTopic:
    """Where a device says that it is there, and its broker that it is gone (last will)."""

    topic: str
    online: str
    offline: str


@dataclass(frozen=True, slots=True)
class MessageVector:
    """A message and what it means."""

    topic: str
    """Name of the topic."""
    payload: str
    values: Mapping[str, float | None] = dataclasses.field(hash=False)
    """By point, in the point's unit; `None` = not available."""
    origin: Origin
    source: str
    """Which source, if it was copied; else how it was derived."""


@dataclass(frozen=True, slots=True)
class MqttMap:
    """The messages of an MQTT device; `{prefix}` in topics is the device's address."""

    points: tuple[FieldPoint, ...]
    state_topic: str
    period_s: float
    """How often the device publishes on its main topic."""
    format: Format = Format.JSON
    further: tuple[StateTopic, ...] = ()
    """Its other topics."""
    online: OnlineTopic | None = None
    delay_s: float = 0.0
    """So old may values be when they are published."""
    vectors: tuple[MessageVector, ...] = dataclasses.field(default=(), compare=False)
    topics: tuple[StateTopic, ...] = dataclasses.field(init=False, repr=False, compare=False)
    """All on which the device says values, the main one first."""

    def __post_init__(self) -> None:
        main = StateTopic(MAIN_TOPIC, self.state_topic, self.period_s, self.format)
        object.__setattr__(self, "topics", (main, *self.further))

    def points_of(self, topic: str) -> tuple[FieldPoint, ...]:
        """The points in the messages of a topic."""
        return tuple(point for point in self.points if point.topic == topic)


class Acknowledgement(StrEnum):
    """What shows that a device took an order."""

    READ_BACK = "read-back"
    """It says which limit it holds."""
    POWER = "power"
    """What it draws."""
    SENT = "sent"
    """Nothing does: the broker took it, and the control watches the power."""


@dataclass(frozen=True, slots=True)
class MessageCommand:
    """How a set-point is published; `{watts}` in `payload` is an integer."""

    topic: str
    payload: str | None
    """`None` = the device is on or off: a limit cannot be named."""
    sleep_payload: str
    no_limit_payload: str
    acknowledged_by: Acknowledgement = Acknowledgement.SENT


def topic_of(pattern: str, prefix: str) -> str:
    """A topic of one device."""
    return pattern.replace("{prefix}", prefix)

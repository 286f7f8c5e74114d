"""Listen to one MQTT device for a while: every point of its profile, and the message that had it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from drivers.errors import RetryLaterError
from drivers.message_map import FieldPoint, MqttMap, StateTopic, topic_of
from drivers.mqtt.message import MessageError, MessageReader, one_point_reader
from drivers.ports import TopicBus
from drivers.profile import Profile, Setpoint

NOTHING_CAME = "nothing came on its topic"
RETAINED = "only a message that the broker kept: how old it is nobody knows"
NOT_THERE = "the message has no value for it"
_LONGEST_S = 300.0


@dataclass(frozen=True, slots=True)
class Said:
    """A point and what was said of it; `None` = nothing that can be used, and `problem` says why."""

    name: str
    topic: str
    """Where it is looked for; wildcards as in a topic filter."""
    field: str
    """Path in the message; empty = the whole message."""
    value: float | None
    unit: str
    problem: str | None
    due: bool
    """Whether its topic must have spoken: others speak only when something changes."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What was heard."""

    points: tuple[Said, ...]
    messages: dict[str, str]
    """The last message by topic; bytes that are no text are shown as such."""
    online: str | None
    """What the device or its broker says of its being there; `None` = nothing, or nobody says it."""


def patience_s(profile: Profile) -> float:
    """How long every topic that has a period speaks at least once, s."""
    assert isinstance(profile.map, MqttMap)
    periods_s = [topic.period_s for topic in profile.map.topics if topic.period_s is not None]
    return min(1.5 * max(periods_s, default=profile.map.period_s) + 1.0, _LONGEST_S)


async def listen(bus: TopicBus, prefix: str, profile: Profile, *, within_s: float) -> Listening:
    """Listen until every topic with a period has spoken, at most for `within_s`.

    Raises:
        RetryLaterError: nothing at all was said.
    """
    device_map = profile.map
    assert isinstance(device_map, MqttMap)
    ears = [_Ear(device_map, topic, prefix, profile.setpoint) for topic in device_map.topics]
    everything = asyncio.Event()

    def look() -> None:
        if all(ear.heard for ear in ears if ear.periodic):
            everything.set()

    for ear in ears:
        bus.subscribe(ear.topic, partial(ear.take, look))
    online = _Presence()
    if device_map.online is not None:
        bus.subscribe(topic_of(device_map.online.topic, prefix), online.take)
    try:
        async with asyncio.timeout(within_s):
            await everything.wait()
    except TimeoutError:
        if online.said is None and not any(ear.messages for ear in ears):
            raise RetryLaterError(
                f"nothing was said below {prefix} within {within_s:g} s; "
                f"the profile {profile.name} listens to {', '.join(ear.topic for ear in ears)}"
            ) from None
    return Listening(
        tuple(said for ear in ears for said in ear.points()),
        {topic: text for ear in ears for topic, text in ear.messages.items()},
        online.said,
    )


class _Presence:
    """What the last will's topic says."""

    def __init__(self) -> None:
        self.said: str | None = None

    def take(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  TopicHandler
        del topic, retained
        self.said = payload.decode(errors="backslashreplace")


class _Ear:
    """One topic of the device."""

    def __init__(
        self, device_map: MqttMap, topic: StateTopic, prefix: str, setpoint: Setpoint | None
    ) -> None:
        self.topic = topic_of(topic.topic, prefix)
        self.periodic = topic.period_s is not None
        self.heard = False
        """Whether anything came that was not kept by the broker."""
        self.messages: dict[str, str] = {}
        self._readers: list[tuple[FieldPoint, MessageReader[str]]] = [
            (point, one_point_reader(point, topic, setpoint)) for point in device_map.points_of(topic.name)
        ]
        self._values: dict[str, float] = {}
        self._problems: dict[str, str] = {}

    def take(self, heard: Callable[[], None], topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  TopicHandler
        """Take a message."""
        self.messages[topic] = payload.decode(errors="backslashreplace")
        if retained and not self.heard:
            self._problems = {point.name: RETAINED for point, _ in self._readers}
            return
        self.heard = True
        for point, reader in self._readers:
            self._read(point, reader, payload)
        heard()

    def _read(self, point: FieldPoint, reader: MessageReader[str], payload: bytes) -> None:
        problem: str | None = NOT_THERE
        try:
            values = reader.read(payload)
        except MessageError as error:
            problem = str(error)
        else:
            value = values.get(point.name)
            if value is not None:
                self._values[point.name], problem = value, None
            elif point.name in self._values and not self.periodic:
                problem = None  # it says only what changed
        if problem is None:
            self._problems.pop(point.name, None)
        else:
            self._values.pop(point.name, None)
            self._problems[point.name] = problem

    def points(self) -> list[Said]:
        """Every point of the topic."""
        return [
            Said(
                point.name,
                self.topic,
                point.field,
                self._values.get(point.name),
                point.unit,
                None if point.name in self._values else self._problems.get(point.name, NOTHING_CAME),
                self.periodic,
            )
            for point, _ in self._readers
        ]

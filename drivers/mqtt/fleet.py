"""All MQTT devices of a site, over its broker."""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from drivers.device import Device
from drivers.message_map import Acknowledgement, MqttMap, topic_of
from drivers.mqtt.message import MessageError, MessageReader, table_reader
from drivers.mqtt.publisher import SILENT_AFTER_PERIODS, Feed, Order, Publisher
from drivers.ports import Absence, DeviceTopics, FleetSink, TopicHandler, WriteResult
from drivers.profile import Profile
from drivers.quantity import Quantity
from drivers.sameness import Sameness
from drivers.setpoint import command_message

CHECK_S = 0.5
"""How often silence and unanswered orders are looked for."""
_NEVER = float("-inf")
_log = logging.getLogger(__name__)


class MqttFleet:
    """Listens to MQTT devices and orders them; implements `drivers.ports.Fleet`.

    Args:
        devices: row and device, each with an `MqttAddress`.
        sink: who learns of it.
        bus: the way to the broker.
    """

    def __init__(self, devices: Sequence[tuple[int, Device]], sink: FleetSink, bus: DeviceTopics) -> None:
        self._sink, self._bus = sink, bus
        self._publishers: dict[int, Publisher] = {}
        """By row."""
        self._feeds: list[Feed] = []
        self._subscribed: dict[Publisher, list[tuple[str, TopicHandler]]] = {}
        """Since the fleet runs."""
        self._ok = 0
        self._tally: dict[str, int] = dict.fromkeys((*Absence, "missed"), 0)
        self._ordered: dict[Publisher, None] = {}
        """Those that still owe an acknowledgement."""
        self._time: Callable[[], float] | None = None
        """While the fleet runs."""
        self.go_by(devices)

    def go_by(self, devices: Sequence[tuple[int, Device]]) -> None:
        """Listen to these from now on. Whoever is what it was before stays as it is, in any row."""
        before = {publisher.device.id: publisher for publisher in self._publishers.values()}
        self._publishers, new = {}, []
        readers, same = _Readers(), Sameness()
        for row, device in devices:
            stays = before.get(device.id)
            if stays is not None and same.devices(stays.device, device):
                stays.row = row
                self._publishers[row] = before.pop(device.id)
            else:
                self._publishers[row] = Publisher(row, device, readers.of(device.profile))
                new.append(self._publishers[row])
        for publisher in before.values():
            self._leave(publisher)
        self._feeds = [feed for publisher in self._publishers.values() for feed in publisher.feeds]
        if self._time is not None:
            for publisher in new:
                self._listen(publisher, self._time())

    async def run(self) -> None:
        """Listen until cancelled."""
        self._time = asyncio.get_running_loop().time
        for publisher in self._publishers.values():
            self._listen(publisher, self._time())
        while True:
            await asyncio.sleep(CHECK_S)
            now = self._time()
            self._look_for_silence(now)
            for publisher in list(self._ordered):
                if publisher.order is not None and now > publisher.order.until:
                    self._written(publisher, publisher.order, WriteResult.TIMED_OUT)

    def _listen(self, publisher: Publisher, now: float) -> None:
        topics: list[tuple[str, TopicHandler]] = []
        for feed in publisher.feeds:
            feed.heard_at = now
            topics.append((feed.topic, functools.partial(self._heard, feed)))
        if (online := publisher.map.online) is not None:
            topic = topic_of(online.topic, publisher.prefix)
            topics.append((topic, functools.partial(self._said_online, publisher)))
        self._subscribed[publisher] = topics
        for topic, handler in topics:
            self._bus.subscribe(topic, handler)

    def _leave(self, publisher: Publisher) -> None:
        """It is no device of the site any more."""
        publisher.gone, publisher.order = True, None
        self._ordered.pop(publisher, None)
        for topic, handler in self._subscribed.pop(publisher, ()):
            self._bus.unsubscribe(topic, handler)

    def switch(self, row: int, outlet: int, *, on: bool) -> None:
        raise ValueError(f"{self._publishers[row].device.id} has no switch {outlet} to turn {on=}")

    def arm(self, row: int, watts: float) -> None:
        raise ValueError(f"{self._publishers[row].device.id} has no reversion timer for {watts} W")

    def order(self, row: int, watts: float | None) -> None:
        publisher = self._publishers[row]
        setpoint, command = publisher.device.profile.setpoint, publisher.command
        if setpoint is None or command is None:
            raise ValueError(f"{publisher.device.id} has no set-point")
        loop = asyncio.get_running_loop()
        now = loop.time()
        topic, payload = command_message(setpoint, command, publisher.prefix, watts)
        publisher.order = None
        self._ordered.pop(publisher, None)
        # Nothing is sent to a device that is gone: who knows when it would act on that.
        sent = not publisher.offline and self._bus.publish(topic, payload, qos=1, retain=False)
        # Outcomes never from here: whoever orders is not ready for them yet.
        if not sent:
            loop.call_soon(self._ended, publisher, watts, WriteResult.NOT_CONNECTED, now)
        elif _shows_nothing(command.acknowledged_by, watts):
            loop.call_soon(self._ended, publisher, watts, WriteResult.ACKNOWLEDGED, now)
        else:
            publisher.order = Order(watts, now, now + publisher.order_timeout_s())
            self._ordered[publisher] = None

    def counters(self) -> Mapping[str, int]:
        return {"ok": self._ok, **self._tally}

    def decode_into(self, values: npt.NDArray[np.float64]) -> None:
        """Nothing is left to decode: every message was, when it came."""

    def poll_lag_s(self) -> float:
        return 0.0

    def _heard(self, feed: Feed, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  TopicHandler
        publisher = feed.device
        if retained or publisher.gone:
            return  # how old it is nobody knows
        try:
            values = feed.reader.read(payload)
        except MessageError as error:
            _log.log(logging.DEBUG if publisher.trouble else logging.WARNING, "%s: %s", topic, error)
            publisher.trouble = True
            self._failed(publisher, Absence.INVALID)
            return
        assert self._time is not None
        now = self._time()
        feed.heard_at = now
        publisher.trouble = publisher.offline = False
        if feed.silent:
            feed.silent = False
            publisher.silent -= 1
        if feed.lead:
            publisher.sampled_at = now - publisher.map.delay_s
        self._ok += 1
        self._sampled(publisher, values)
        if publisher.order is not None and publisher.shown(publisher.order, values):
            self._written(publisher, publisher.order, WriteResult.ACKNOWLEDGED)

    def _said_online(self, publisher: Publisher, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001, ARG002  TopicHandler
        # Retained or not: this is what the broker knows of the device now.
        online = publisher.map.online
        assert online is not None
        if publisher.gone:
            return
        if payload == online.online.encode():
            publisher.offline = False
        elif payload == online.offline.encode() and not publisher.offline:
            publisher.offline = True
            gone = [key for feed in publisher.feeds for key in feed.reader.keys]
            self._sink.sampled(publisher.row, dict.fromkeys(gone), publisher.sampled_at)
            self._failed(publisher, Absence.NOT_CONNECTED)

    def _look_for_silence(self, now: float) -> None:
        fallen = []
        for feed in self._feeds:
            if feed.period_s is not None and now - feed.heard_at > SILENT_AFTER_PERIODS * feed.period_s:
                feed.heard_at += feed.period_s  # told again once a period
                if not feed.silent:
                    fallen.append(feed.topic)
                self._is_silent(feed)
        if fallen:
            # One line however many: a broker that is gone silences them all.
            _log.warning("nothing comes any more on %d topics, as %s", len(fallen), ", ".join(fallen[:3]))

    def _is_silent(self, feed: Feed) -> None:
        publisher = feed.device
        if not feed.silent:
            feed.silent = True
            publisher.silent += 1
            if not feed.lead:
                # The device's age is another topic's: these would look as young as that.
                self._sampled(publisher, dict.fromkeys(feed.reader.keys))
        self._failed(publisher, Absence.NOT_CONNECTED if publisher.offline else Absence.SILENT)

    def _sampled(self, publisher: Publisher, values: Mapping[Quantity, float | None]) -> None:
        sampled_at = publisher.sampled_at
        self._sink.sampled(publisher.row, values, sampled_at)
        if publisher.silent or sampled_at == _NEVER:
            # It goes on in part: what is missing has this reason.
            self._sink.failed(publisher.row, Absence.SILENT if publisher.silent else Absence.NEVER_READ)

    def _failed(self, publisher: Publisher, absence: Absence) -> None:
        self._tally[absence] += 1
        self._sink.failed(publisher.row, absence)

    def _written(self, publisher: Publisher, order: Order, result: WriteResult) -> None:
        publisher.order = None
        self._ordered.pop(publisher, None)
        self._ended(publisher, order.watts, result, order.at)

    def _ended(self, publisher: Publisher, watts: float | None, result: WriteResult, at: float) -> None:
        if not publisher.gone:
            self._sink.written(publisher.row, watts, result, at)


class _Readers:
    """One reader for each topic of a profile, for all its devices."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, bool], list[MessageReader[Quantity]]] = {}

    def of(self, profile: Profile) -> list[MessageReader[Quantity]]:
        # By identity: a profile that only measures is made anew for each device, its map is not.
        key = (id(profile.map), profile.setpoint is None)
        if key not in self._made:
            assert isinstance(profile.map, MqttMap)
            self._made[key] = [
                table_reader(profile.map, topic, profile.setpoint) for topic in profile.map.topics
            ]
        return self._made[key]


def _shows_nothing(acknowledged_by: Acknowledgement, watts: float | None) -> bool:
    """Whether no message can show that an order was taken: who may draw more need not."""
    return acknowledged_by is Acknowledgement.SENT or (
        acknowledged_by is Acknowledgement.POWER and watts is None
    )

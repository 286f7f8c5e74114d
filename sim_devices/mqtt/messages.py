"""The messages of an MQTT device, written and read by its profile."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from drivers.message_map import FieldPoint, Format, MessageCommand, MqttMap, StateTopic, topic_of
from drivers.mqtt.paths import parse_path
from drivers.quantity import Quantity

_PROBE_W = 987_654_321


class NotAnOrderError(Exception):
    """The message is no order that this device understands."""


def write_states(device_map: MqttMap, prefix: str, values: Mapping[str, float | None]) -> dict[str, bytes]:
    """What the device publishes, by topic. A level that its profile leaves open is `sim`."""
    return {
        topic_of(topic.topic, prefix).replace("+", "sim").replace("#", "sim"): _state(
            device_map, topic, values
        )
        for topic in device_map.topics
    }


def _state(device_map: MqttMap, topic: StateTopic, values: Mapping[str, float | None]) -> bytes:
    """Each point in its field, `null` = not available."""
    points = device_map.points_of(topic.name)
    if topic.format is Format.PLAIN:
        return str(_raw(points[0], values.get(points[0].name))).encode()
    message: dict[str, Any] = {}
    for point in points:
        _put(message, parse_path(point.field), _raw(point, values.get(point.name)))
    return json.dumps(message).encode()


def _put(place: Any, path: tuple[str | int, ...], raw: object) -> None:
    """Set a member, making the objects and arrays around it."""
    for step, below in pairwise(path):
        place = _made(place, step, [] if isinstance(below, int) else {})
    _made(place, path[-1], None)
    place[path[-1]] = raw


def _made(place: Any, step: str | int, new: Any) -> Any:
    if isinstance(step, int):
        place.extend([None] * (step + 1 - len(place)))
        if place[step] is None:
            place[step] = new
        return place[step]
    return place.setdefault(step, new)


def _raw(point: FieldPoint, value: float | None) -> object:
    words = point.words
    if words is not None:
        if value is None and point.quantity is not Quantity.SETPOINT:
            return None
        # No limit is all that it takes.
        wanted = max(words.values()) if value is None else value
        word = min(words, key=lambda word: abs(words[word] - wanted))
        return {"true": True, "false": False}.get(word, word)
    if value is None:
        return None
    raw = round(value / point.scale, 6)
    number = int(raw) if raw == int(raw) else raw
    return str(number) if point.text else number


def read_order(command: MessageCommand, payload: bytes) -> float | None:
    """The set-point in an order: W, 0 = sleep, `None` = no limit.

    Raises:
        NotAnOrderError: it is none of the forms that the profile names.
    """
    if payload == command.sleep_payload.encode():
        return 0.0
    if payload == command.no_limit_payload.encode():
        return None
    try:
        order = json.loads(payload)
        sleep, no_limit = json.loads(command.sleep_payload), json.loads(command.no_limit_payload)
    except ValueError as error:
        raise NotAnOrderError(str(error)) from None
    if order == sleep:
        return 0.0
    if order == no_limit:
        return None
    watts = None
    if command.payload is not None:
        watts = _watts(json.loads(command.payload.replace("{watts}", str(_PROBE_W))), order)
    if watts is None or watts < 0:
        raise NotAnOrderError("neither a limit nor sleep nor no limit")
    return watts


def _watts(template: object, order: object) -> float | None:
    """The number in `order` where `template` has the probe; `None` unless all else is equal."""
    if template == _PROBE_W:
        is_number = isinstance(order, int | float) and not isinstance(order, bool)
        return float(order) if is_number else None  # type: ignore[arg-type]  # mypy does not follow `is_number`
    if not isinstance(template, dict) or not isinstance(order, dict) or template.keys() != order.keys():
        return None
    found = None
    for key, part in template.items():
        if part != order[key]:
            found = _watts(part, order[key])
            if found is None:
                return None
    return found

"""What a message of an MQTT device says. Pure."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from drivers.errors import DriverError
from drivers.message_map import FieldPoint, Format, MqttMap, StateTopic
from drivers.mqtt.paths import Path, parse_path
from drivers.profile import Setpoint
from drivers.quantity import Quantity

MOST_BYTES = 65_536
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MISSING = object()
Key = TypeVar("Key", bound=str)


class MessageError(DriverError):
    """The message says nothing that can be used."""


class _Field(NamedTuple, Generic[Key]):
    key: Key
    path: Path
    scale: float
    text: bool
    words: Mapping[str, float] | None
    null: float | None
    """What JSON's `null` means."""


class MessageReader(Generic[Key]):
    """Reads the messages of one topic; made once for all devices of a profile.

    Args:
        fields: what to look for.
        plain: whether the whole message is one value.
        partial: whether a message has only what changed: what it leaves out is not absent, it is as before.
    """

    def __init__(self, fields: Sequence[_Field[Key]], *, plain: bool, partial: bool) -> None:
        self._fields, self._plain, self._partial = tuple(fields), plain, partial
        self.keys = tuple(field.key for field in fields)

    def read(self, payload: bytes) -> dict[Key, float | None]:
        """Every value; `None` = the message has none for it.

        Raises:
            MessageError: no message of this kind, or a value that is no finite number.
        """
        if len(payload) > MOST_BYTES:
            raise MessageError(f"a message of {len(payload)} bytes")
        message = _text(payload) if self._plain else _object(payload)
        values: dict[Key, float | None] = {}
        for field in self._fields:
            found = message
            for step in field.path:
                if isinstance(step, str):
                    found = found.get(step, _MISSING) if type(found) is dict else _MISSING
                else:
                    found = found[step] if type(found) is list and step < len(found) else _MISSING
            if found is None:
                values[field.key] = field.null
            elif found is not _MISSING:
                values[field.key] = _value(field, found)
            elif not self._partial:
                values[field.key] = None
        return values


def table_reader(
    device_map: MqttMap, topic: StateTopic, setpoint: Setpoint | None
) -> MessageReader[Quantity]:
    """For what reaches the site table."""
    fields = [
        _field(point.quantity, point, topic, _null_of(point, setpoint))
        for point in device_map.points_of(topic.name)
        if point.quantity is not None
    ]
    return MessageReader(fields, plain=topic.format is Format.PLAIN, partial=topic.period_s is None)


def point_reader(device_map: MqttMap, topic: StateTopic) -> MessageReader[str]:
    """For every point of the topic, by name."""
    fields = [_field(point.name, point, topic, None) for point in device_map.points_of(topic.name)]
    return MessageReader(fields, plain=topic.format is Format.PLAIN, partial=topic.period_s is None)


def one_point_reader(point: FieldPoint, topic: StateTopic, setpoint: Setpoint | None) -> MessageReader[str]:
    """For one point alone: what is wrong with another says nothing of it."""
    null = _null_of(point, setpoint)
    plain, partial = topic.format is Format.PLAIN, topic.period_s is None
    return MessageReader([_field(point.name, point, topic, null)], plain=plain, partial=partial)


def _null_of(point: FieldPoint, setpoint: Setpoint | None) -> float | None:
    """What `null` means: of a power limit "no limit", which is the ceiling; else nothing."""
    if setpoint is None or point.quantity is not Quantity.SETPOINT:
        return None
    return setpoint.ceiling_w


def _field(key: Key, point: FieldPoint, topic: StateTopic, null: float | None) -> _Field[Key]:
    plain = topic.format is Format.PLAIN
    path = () if plain else parse_path(point.field)
    return _Field(key, path, point.scale, point.text or plain, point.words, null)


def _text(payload: bytes) -> str:
    try:
        return payload.decode("ascii").strip()
    except UnicodeDecodeError:
        raise MessageError("no plain text") from None


def _object(payload: bytes) -> Any:
    try:
        message = _decode(payload.decode())
    except (ValueError, RecursionError) as error:
        raise MessageError(f"no JSON: {error}") from None
    if type(message) is not dict:
        raise MessageError("not a JSON object")
    return message


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # Which of them is meant nobody knows (RFC 8259, 4).
        raise ValueError("a name that is there twice")
    return members


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


_decode = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_refuse_constant).decode
"""Made once: `json.loads` with options makes one for each message."""


def _value(field: _Field[Any], found: Any) -> float:
    if field.words is not None:
        return _of_word(field, field.words, found)
    if field.text and type(found) is str:
        if _NUMBER.fullmatch(found) is None:
            raise MessageError(f"{field.key}: {found[:40]!r} is no number")
        found = float(found)
    if type(found) is not float and type(found) is not int:
        raise MessageError(f"{field.key} is no number")
    try:
        value = float(found * field.scale)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise MessageError(f"{field.key} is out of range")
    return value


def _of_word(field: _Field[Any], words: Mapping[str, float], found: Any) -> float:
    word = json.dumps(found) if type(found) is bool else found
    if type(word) is not str or word not in words:
        raise MessageError(f"{field.key}: {str(found)[:40]!r} is none of {', '.join(words)}")
    return words[word]

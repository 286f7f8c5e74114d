"""The JSON message in which an MQTT device says how it is. Pure."""

import json
import math
from typing import Any

from drivers.errors import DriverError
from drivers.profile import FieldPoint, MqttMap, Setpoint
from drivers.quantity import Quantity

MOST_BYTES = 65_536
_MISSING = object()


class MessageError(DriverError):
    """The message says nothing that can be used."""


def read_state(
    device_map: MqttMap, setpoint: Setpoint | None, payload: bytes
) -> dict[Quantity, float | None]:
    """Every quantity of the profile; `None` = the message has no value for it.

    A power limit that is there and `null` is "no limit": the ceiling.

    Raises:
        MessageError: no JSON object, or a value that is no finite number.
    """
    if len(payload) > MOST_BYTES:
        raise MessageError(f"a message of {len(payload)} bytes")
    try:
        message = json.loads(payload, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"no JSON: {error}") from None
    if not isinstance(message, dict):
        raise MessageError("not a JSON object")
    values: dict[Quantity, float | None] = {}
    for point in device_map.points:
        quantity = point.quantity
        if quantity is not None:
            found = _find(message, point.field)
            if found is None and quantity is Quantity.SETPOINT and setpoint is not None:
                values[quantity] = setpoint.ceiling_w
            else:
                values[quantity] = _number(point, found)
    return values


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _find(message: dict[str, Any], path: str) -> Any:
    found: Any = message
    for name in path.split("."):
        found = found.get(name, _MISSING) if isinstance(found, dict) else _MISSING
    return found


def _number(point: FieldPoint, found: Any) -> float | None:
    if found is _MISSING or found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise MessageError(f"{point.field} is no number")
    try:
        value = float(found * point.scale)
    except OverflowError:
        raise MessageError(f"{point.field} is out of range") from None
    if not math.isfinite(value):
        raise MessageError(f"{point.field} is out of range")
    return value

"""The messages of an MQTT device, written and read by its profile."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from drivers.profile import FieldPoint, MessageCommand

_PROBE_W = 987_654_321


class NotAnOrderError(Exception):
    """The message is no order that this device understands."""


def write_state(points: Sequence[FieldPoint], values: Mapping[str, float | None]) -> bytes:
    """The device's state as JSON: each point in its field, `null` = not available."""
    message: dict[str, Any] = {}
    for point in points:
        *path, name = point.field.split(".")
        place = message
        for step in path:
            place = place.setdefault(step, {})
        value = values.get(point.name)
        raw = None if value is None else round(value / point.scale, 6)
        place[name] = int(raw) if raw is not None and raw == int(raw) else raw
    return json.dumps(message).encode()


def read_order(command: MessageCommand, payload: bytes) -> float | None:
    """The set-point in an order: W, 0 = sleep, `None` = no limit.

    Raises:
        NotAnOrderError: it is none of the forms that the profile names.
    """
    try:
        order = json.loads(payload)
    except ValueError as error:
        raise NotAnOrderError(str(error)) from None
    if order == json.loads(command.sleep_payload):
        return 0.0
    if order == json.loads(command.no_limit_payload):
        return None
    if command.payload is not None:
        watts = _watts(json.loads(command.payload.replace("{watts}", str(_PROBE_W))), order)
        if watts is not None and watts >= 0:
            return watts
    raise NotAnOrderError("neither a limit nor sleep nor no limit")


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

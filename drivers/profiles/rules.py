"""What the tables of a device profile must say together."""

from collections.abc import Iterator

from drivers.modbus.planning import REGISTERS, fitted
from drivers.profile import Role, WordType
from drivers.profiles.document import (
    Document,
    ModbusTable,
    OperatingPointTable,
    PointTable,
    RegisterTable,
    SetpointTable,
)
from drivers.profiles.message_rules import message_mistakes
from drivers.quantity import QUANTITY_BY_NAME, UNIT, Quantity

SUNSPEC_FUNCTION = 3
_NEVER_SLOW = frozenset({Quantity.POWER, Quantity.SETPOINT})
_ON_GRID = 1e-6
"""How far from a whole number of raw steps a power step may be: rounding, no more."""


def mistakes(document: Document) -> Iterator[str]:
    """Everything that one table of a profile cannot know about another; `key: what is wrong`."""
    names = [point.name for point in document.points]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"points.{index}.name: {name!r} is there twice"
    if document.modbus is not None and document.mqtt is None:
        yield from _register_mistakes(document, document.modbus)
    elif document.mqtt is not None and document.modbus is None:
        yield from message_mistakes(document, document.mqtt)
    else:
        yield "exactly one of [modbus] and [mqtt] must be there"
    yield from _load_mistakes(document)


def _register_mistakes(document: Document, modbus: ModbusTable) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for index, point in enumerate(document.points):
        key = f"points.{index}"
        if point.address is None or point.type is None or _of_a_message(point):
            yield f"{key}: a Modbus point has address and type, and no field"
            continue
        first, words = point.address, point.type.words
        yield from _place_mistakes(key, first, words, modbus)
        yield from _scaling_mistakes(key, point, document)
        if point.sentinel is not None and point.sentinel >= 1 << 16 * words:
            yield f"{key}.sentinel: does not fit into {point.type}"
        function = point.function or modbus.function
        for address in range(first, first + words):
            other = taken.setdefault((function, address), point.name)
            if other != point.name:
                yield f"{key}.address: register {address} is already {other!r}"
                break
    yield from _polling_mistakes(document, modbus)
    if modbus.sunspec_model is not None:
        yield from _sunspec_mistakes(document, modbus)
    yield from _text_mistakes(document, modbus)
    yield from _identity_mistakes(document)
    yield from _vector_mistakes(document)
    if document.setpoint is not None:
        if document.setpoint.point is not None:
            place = document.setpoint.point
            yield from _place_mistakes("setpoint.point", place.address, place.type.words, modbus)
        yield from _register_command_mistakes(document.setpoint, document)


def _of_a_message(point: PointTable) -> bool:
    return point.text or any(value is not None for value in (point.field, point.topic, point.words))


def _place_mistakes(key: str, first: int, words: int, modbus: ModbusTable) -> Iterator[str]:
    wire = first - modbus.address_base
    if wire < 0:
        yield f"{key}.address: register numbers begin at {modbus.address_base}"
    elif wire + words > REGISTERS:
        yield f"{key}.address: {words} registers from {first} end beyond {0xFFFF + modbus.address_base}"
    elif words > modbus.max_span:
        yield f"{key}.type: takes {words} registers, max_span is {modbus.max_span}"
    elif torn := [barrier for barrier in modbus.barriers if first < barrier < first + words]:
        yield f"{key}.address: the barrier at {torn[0]} would tear the value"
    elif fitted(wire, wire + words, modbus.rules()) is None:
        yield f"{key}.address: no read that [modbus] allows holds these {words} registers"


def _scaling_mistakes(key: str, point: PointTable, document: Document) -> Iterator[str]:
    plain = {other.name for other in document.points if {other.times, other.exponent, other.plus} == {None}}
    for what, name in (("times", point.times), ("exponent", point.exponent), ("plus", point.plus)):
        if name is not None and (name not in plain or name == point.name):
            yield f"{key}.{what}: {name!r} is no other point with a plain value"
    quantity = QUANTITY_BY_NAME.get(point.name)
    if quantity is not None and point.unit not in {"", UNIT[quantity]}:
        yield f"{key}.unit: {point.name} is always in {UNIT[quantity]!r}"


def _polling_mistakes(document: Document, modbus: ModbusTable) -> Iterator[str]:
    """A slow point is for what does not change while it is not looked at."""
    if modbus.in_flight > 1 and (modbus.pause_between_requests_s or modbus.close_after_sweep):
        yield "modbus.in_flight: more than 1 goes with no pause_between_requests_s or close_after_sweep"
    if all(point.slow or point.name not in QUANTITY_BY_NAME for point in document.points):
        yield "points: none is polled; one at least is a known quantity and not slow"
    for index, point in enumerate(document.points):
        quantity = QUANTITY_BY_NAME.get(point.name)
        if point.slow and quantity is None:
            yield f"points.{index}.slow: {point.name} is not polled at all"
        elif point.slow and quantity in _NEVER_SLOW:
            yield f"points.{index}.slow: the control needs {point.name} in every poll"
        elif point.slow and document.role is Role.SITE_METER:
            yield f"points.{index}.slow: a site meter's readings are taken together"


def _sunspec_mistakes(document: Document, modbus: ModbusTable) -> Iterator[str]:
    if modbus.function != SUNSPEC_FUNCTION or any(point.function is not None for point in document.points):
        yield f"modbus.function: SunSpec is read with function {SUNSPEC_FUNCTION}"
    if modbus.address_base or modbus.barriers or modbus.readable or modbus.start_multiple > 1:
        yield "modbus.sunspec_model: goes with no address_base, barriers, readable or start_multiple"
    if document.setpoint is not None:
        yield "setpoint: not with sunspec_model"


def _text_mistakes(document: Document, modbus: ModbusTable) -> Iterator[str]:
    names = [point.name for point in document.points]
    for index, text in enumerate(document.texts):
        if text.name in names:
            yield f"texts.{index}.name: {text.name!r} is there twice"
        names.append(text.name)
        yield from _place_mistakes(f"texts.{index}", text.address, text.words, modbus)


def _identity_mistakes(document: Document) -> Iterator[str]:
    points, texts = {point.name for point in document.points}, {text.name for text in document.texts}
    for index, check in enumerate(document.identity):
        window = check.minimum is not None or check.maximum is not None
        if check.point in texts:
            if not check.texts or check.values or window:
                yield f"identity.{index}: a text is checked by texts"
        elif check.point not in points:
            yield f"identity.{index}.point: there is no point or text {check.point!r}"
        elif check.texts or bool(check.values) == window:
            yield f"identity.{index}: a point is checked either by values or by minimum and maximum"
        elif check.minimum is not None and check.maximum is not None and check.minimum > check.maximum:
            yield f"identity.{index}.minimum: above maximum"


def _vector_mistakes(document: Document) -> Iterator[str]:
    if document.message_vectors:
        yield "message_vectors: belong to an MQTT device"
    points = {point.name: point for point in document.points}
    texts = {text.name: text for text in document.texts}
    for index, vector in enumerate(document.vectors):
        if vector.point in texts:
            words, fits = texts[vector.point].words, vector.text is not None
        elif vector.point in points and (kind := points[vector.point].type) is not None:
            words, fits = kind.words, vector.text is None
        else:
            yield f"vectors.{index}.point: there is no point or text {vector.point!r}"
            continue
        if len(vector.words) != words:
            yield f"vectors.{index}.words: {vector.point} has {words} registers, not {len(vector.words)}"
        if not fits:
            yield f"vectors.{index}: a point has a value, a text has a text"


def _register_command_mistakes(setpoint: SetpointTable, document: Document) -> Iterator[str]:
    point, sleep, no_limit = setpoint.point, setpoint.sleep_value, setpoint.no_limit_value
    if point is None or sleep is None or no_limit is None:
        yield "setpoint: needs point, sleep_value and no_limit_value"
        return
    messages = (setpoint.command_topic, setpoint.payload, setpoint.sleep_payload, setpoint.no_limit_payload)
    if any(messages) or setpoint.acknowledged_by is not None:
        yield "setpoint: command_topic and payloads belong to an MQTT device"
    if point.type in {WordType.F32, WordType.F64}:
        yield "setpoint.point.type: a set-point register is an integer"
        return
    yield from _read_back_mistakes(point, document)
    yield from _raw_mistakes(setpoint, point, sleep, no_limit)


def _read_back_mistakes(point: RegisterTable, document: Document) -> Iterator[str]:
    for index, other in enumerate(document.points):
        if other.address is None or other.type is None:
            continue
        apart = (
            other.address + other.type.words <= point.address
            or point.address + point.type.words <= other.address
        )
        alike = (other.address, other.type, other.scale) == (point.address, point.type, point.scale)
        if not apart and not alike:
            yield f"setpoint.point: overlaps points.{index} ({other.name}) and is not the same"


def _raw_mistakes(setpoint: SetpointTable, point: RegisterTable, sleep: int, no_limit: int) -> Iterator[str]:
    top = (1 << 16 * point.type.words - point.type.value.startswith("s")) - 1
    lowest, highest = round(setpoint.floor_w / point.scale), round(setpoint.ceiling_w / point.scale)
    for key, raw in (("sleep_value", sleep), ("no_limit_value", no_limit), ("ceiling_w", highest)):
        if raw > top:
            yield f"setpoint.{key}: raw value {raw} does not fit into {point.type}"
    for key, watts in (("floor_w", setpoint.floor_w), ("step_w", setpoint.step_w)):
        steps = watts / point.scale
        if abs(steps - round(steps)) > _ON_GRID * max(steps, 1.0):
            yield f"setpoint.{key}: {watts} W is not a whole number of raw steps of {point.scale} W"
    if sleep == no_limit:
        yield "setpoint.no_limit_value: is the same as sleep_value"
    if lowest <= sleep <= highest:
        yield f"setpoint.sleep_value: {sleep} is also a power target"
    # "No limit" may be the ceiling itself, as with percent: the device then draws no more either way.
    if lowest <= no_limit < highest:
        yield f"setpoint.no_limit_value: {no_limit} is also a power target"


def _load_mistakes(document: Document) -> Iterator[str]:
    points, setpoint = document.operating_points, document.setpoint
    if (setpoint is None) != (not points):
        yield "operating_points: belong to a [setpoint], and a [setpoint] needs them"
    if setpoint is not None and document.role is not Role.LOAD:
        yield f"setpoint: a {document.role} is never told to draw less"
    if document.role is Role.LOAD and document.nameplate_w == 0:
        yield "nameplate_w: a load has one"
    if points and document.output is None:
        yield "output: the operating points' values need it"
    if setpoint is not None and points:
        yield from _operating_point_mistakes(setpoint, points)


def _operating_point_mistakes(
    setpoint: SetpointTable, points: tuple[OperatingPointTable, ...]
) -> Iterator[str]:
    for index in range(1, len(points)):
        if points[index].watts <= points[index - 1].watts or points[index].value < points[index - 1].value:
            yield f"operating_points.{index}: watts must rise and value must not fall"
    if points[0].watts != setpoint.sleep_w or points[0].value != 0:
        yield "operating_points.0: must be sleep: sleep_w and value 0"
    for index, point in enumerate(points[1:], start=1):
        if not setpoint.floor_w <= point.watts <= setpoint.ceiling_w:
            yield f"operating_points.{index}.watts: outside floor_w ... ceiling_w"
    if points[-1].value != 1:
        yield f"operating_points.{len(points) - 1}.value: the last point is full output, 1.0"

"""What the tables of a profile say about orders must say together."""

from collections.abc import Iterator

from drivers.profile import DAY_S, FEEDS_PER_TIMER, OutputKind, Role, WordType
from drivers.profiles.document import (
    Document,
    ModbusTable,
    OperatingPointTable,
    OutletsTable,
    PointTable,
    RegisterTable,
    ReversionTable,
    SetpointTable,
    Sign,
)

_LAST_REGISTER = 0xFFFF
_ON_GRID = 1e-6
"""How far from a whole number of steps a power may be: rounding, no more."""


def register_command_mistakes(
    setpoint: SetpointTable, document: Document, modbus: ModbusTable
) -> Iterator[str]:
    """Of a set-point that is written to registers."""
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
    yield from _read_back_mistakes(point, document, modbus)
    yield from _raw_mistakes(setpoint, point, sleep, no_limit)
    if setpoint.reversion is not None:
        yield from _reversion_mistakes(setpoint, setpoint.reversion, point)


def _reversion_mistakes(
    setpoint: SetpointTable, reversion: ReversionTable, point: RegisterTable
) -> Iterator[str]:
    """It is written again and again, so it must bear that; and every register is one thing."""
    if setpoint.persistent or setpoint.restarts_on_write:
        yield "setpoint.reversion: is fed for ever; not where an order wears its flash or restarts it"
    elif setpoint.writes_per_day is not None:
        feeds = FEEDS_PER_TIMER * DAY_S / reversion.after_s
        if setpoint.writes_per_day <= feeds:
            yield (
                f"setpoint.writes_per_day: {setpoint.writes_per_day:g} leave none for orders: "
                f"a timer of {reversion.after_s:g} s is fed {feeds:g} times a day"
            )
    taken = [("point", point)]
    for key, register, most in (
        ("limit", reversion.limit, setpoint.ceiling_w),
        ("timer", reversion.timer, reversion.after_s),
    ):
        if register is None:
            continue
        if register.type in {WordType.F32, WordType.F64}:
            yield f"setpoint.reversion.{key}.type: is an integer"
        elif round(most / register.scale) > _top(register):
            yield f"setpoint.reversion.{key}: {most:g} does not fit into {register.type}"
        for other_key, other in taken:
            if _overlap(register, other):
                yield f"setpoint.reversion.{key}.address: overlaps {other_key}"
        taken.append((f"reversion.{key}", register))


def _overlap(one: RegisterTable, other: RegisterTable) -> bool:
    return one.address < other.address + other.type.words and other.address < one.address + one.type.words


def _top(register: RegisterTable) -> int:
    return (1 << 16 * register.type.words - register.type.value.startswith("s")) - 1


def outlet_mistakes(document: Document) -> Iterator[str]:
    """Of a PDU whose outlets can be switched."""
    outlets = document.outlets
    if outlets is None:
        return
    if document.role is not Role.PDU:
        yield f"outlets: a {document.role} has none"
    if document.modbus is None:
        yield "outlets: are switched over Modbus alone"
        return
    if outlets.first.type in {WordType.F32, WordType.F64}:
        yield "outlets.first.type: a switch is an integer"
        return
    yield from _switch_mistakes(outlets)
    base = document.modbus.address_base
    last = outlets.first.address + (outlets.count - 1) * outlets.stride + outlets.first.type.words - 1
    if outlets.first.address < base:
        yield f"outlets.first.address: register numbers begin at {base}"
    elif last - base > _LAST_REGISTER:
        yield f"outlets.count: the last outlet's register would be {last}"


def _switch_mistakes(outlets: OutletsTable) -> Iterator[str]:
    for key, raw in (("on_value", outlets.on_value), ("off_value", outlets.off_value)):
        if raw > _top(outlets.first):
            yield f"outlets.{key}: raw value {raw} does not fit into {outlets.first.type}"
    if outlets.on_value == outlets.off_value:
        yield "outlets.off_value: is the same as on_value"
    if outlets.stride < outlets.first.type.words:
        yield f"outlets.stride: a switch takes {outlets.first.type.words} registers"


def _read_back_mistakes(point: RegisterTable, document: Document, modbus: ModbusTable) -> Iterator[str]:
    first, end = point.address, point.address + point.type.words
    for index, other in enumerate(document.points):
        if other.address is None or other.type is None:
            continue
        apart = other.address + other.type.words <= first or end <= other.address
        if not apart and not _alike(point, other, modbus):
            yield f"setpoint.point: overlaps points.{index} ({other.name}) and is not the same"
    for index, text in enumerate(document.texts):
        if text.address < end and first < text.address + text.words:
            yield f"setpoint.point: overlaps texts.{index} ({text.name})"


def _alike(point: RegisterTable, other: PointTable, modbus: ModbusTable) -> bool:
    """Whether what is written is read back as what it means."""
    same = (other.address, other.type, other.scale) == (point.address, point.type, point.scale)
    order, other_order = point.word_order or modbus.word_order, other.word_order or modbus.word_order
    return same and other.sign is Sign.IMPORT and (point.type.words == 1 or order == other_order)


def _raw_mistakes(setpoint: SetpointTable, point: RegisterTable, sleep: int, no_limit: int) -> Iterator[str]:
    top = _top(point)
    lowest, highest = round(setpoint.floor_w / point.scale), round(setpoint.ceiling_w / point.scale)
    for key, raw in (("sleep_value", sleep), ("no_limit_value", no_limit), ("ceiling_w", highest)):
        if raw > top:
            yield f"setpoint.{key}: raw value {raw} does not fit into {point.type}"
    for key, watts in (("floor_w", setpoint.floor_w), ("step_w", setpoint.step_w)):
        steps = watts / point.scale
        if round(steps) < 1 or abs(steps - round(steps)) > _ON_GRID * max(steps, 1.0):
            yield f"setpoint.{key}: {watts} W is not a whole number of raw steps of {point.scale} W"
    if sleep == no_limit:
        yield "setpoint.no_limit_value: is the same as sleep_value"
    if lowest <= sleep <= highest:
        yield f"setpoint.sleep_value: {sleep} is also a power target"
    # "No limit" may be the ceiling itself, as with percent: the device then draws no more either way.
    if lowest <= no_limit < highest:
        yield f"setpoint.no_limit_value: {no_limit} is also a power target"


def load_mistakes(document: Document) -> Iterator[str]:
    """Of what a load can be told, whatever it speaks."""
    points, setpoint = document.operating_points, document.setpoint
    if (setpoint is None) != (not points):
        yield "operating_points: belong to a [setpoint], and a [setpoint] needs them"
    if setpoint is not None and document.role is not Role.LOAD:
        yield f"setpoint: a {document.role} is never told to draw less"
    yield from _supply_mistakes(document)
    if document.role is Role.LOAD and document.nameplate_w == 0:
        yield "nameplate_w: a load has one"
    if points and document.output is None:
        yield "output: the operating points' values need it"
    if setpoint is not None and setpoint.floor_w < setpoint.ceiling_w < setpoint.floor_w + setpoint.step_w:
        yield "setpoint.step_w: is more than from floor_w to ceiling_w"
    if setpoint is not None and points:
        yield from _operating_point_mistakes(setpoint, points)


def _supply_mistakes(document: Document) -> Iterator[str]:
    setpoint, output = document.setpoint, document.output
    if setpoint is None:
        return
    if setpoint.hard_off and output is not None and output.kind is OutputKind.GPU:
        yield "setpoint.hard_off: a GPU rack is never switched off at its outlet"
    if setpoint.reversion is not None and document.modbus is None:
        yield "setpoint.reversion: is written over Modbus alone"


def _operating_point_mistakes(
    setpoint: SetpointTable, points: tuple[OperatingPointTable, ...]
) -> Iterator[str]:
    names = [point.name for point in points]
    for index in range(1, len(points)):
        if names[index] in names[:index]:
            yield f"operating_points.{index}.name: {names[index]!r} is there twice"
        if points[index].watts <= points[index - 1].watts or points[index].value < points[index - 1].value:
            yield f"operating_points.{index}: watts must rise and value must not fall"
    if points[0].watts != setpoint.sleep_w or points[0].value != 0:
        yield "operating_points.0: must be sleep: sleep_w and value 0"
    for index, point in enumerate(points[1:], start=1):
        if not setpoint.floor_w <= point.watts <= setpoint.ceiling_w:
            yield f"operating_points.{index}.watts: outside floor_w ... ceiling_w"
        elif point.watts != setpoint.ceiling_w and not _is_step(setpoint, point.watts):
            # At its ceiling a load is told of no limit, so that need not be a step.
            yield f"operating_points.{index}.watts: is not floor_w and a whole number of step_w"
    if points[-1].value != 1:
        yield f"operating_points.{len(points) - 1}.value: the last point is full output, 1.0"


def _is_step(setpoint: SetpointTable, watts: float) -> bool:
    steps = (watts - setpoint.floor_w) / setpoint.step_w
    return abs(steps - round(steps)) <= _ON_GRID * max(steps, 1.0)

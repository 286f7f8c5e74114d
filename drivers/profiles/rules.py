"""What the tables of a device profile must say together."""

from collections.abc import Iterator

from drivers.modbus.codec import decode_words, encode_value
from drivers.modbus.planning import REGISTERS, fitted
from drivers.profile import RegisterPoint, Role
from drivers.profiles.document import Document, IdentityTable, ModbusTable, PointTable, Sign, TextTable
from drivers.profiles.message_rules import message_mistakes
from drivers.profiles.order_rules import load_mistakes, outlet_mistakes, register_command_mistakes
from drivers.quantity import QUANTITY_BY_NAME, UNIT, Quantity

SUNSPEC_FUNCTION = 3
_NEVER_SLOW = frozenset({Quantity.POWER, Quantity.SETPOINT})


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
        yield "modbus: exactly one of [modbus] and [mqtt] must be there"
    yield from load_mistakes(document)
    yield from outlet_mistakes(document)


def _register_mistakes(document: Document, modbus: ModbusTable) -> Iterator[str]:
    yield from _range_mistakes(modbus)
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
        yield from _taken_mistakes(key, point.name, function, range(first, first + words), taken)
    yield from _polling_mistakes(document, modbus)
    if modbus.sunspec_model is not None:
        yield from _sunspec_mistakes(document, modbus)
    yield from _text_mistakes(document, modbus, taken)
    yield from _identity_mistakes(document, modbus)
    yield from _vector_mistakes(document)
    if document.setpoint is not None:
        if document.setpoint.point is not None:
            place = document.setpoint.point
            yield from _place_mistakes("setpoint.point", place.address, place.type.words, modbus)
        yield from register_command_mistakes(document.setpoint, document, modbus)


def _taken_mistakes(
    key: str, name: str, function: int, registers: range, taken: dict[tuple[int, int], str]
) -> Iterator[str]:
    for address in registers:
        other = taken.setdefault((function, address), name)
        if other != name:
            yield f"{key}.address: register {address} is already {other!r}"
            return


def _of_a_message(point: PointTable) -> bool:
    return point.text or any(value is not None for value in (point.field, point.topic, point.words))


def _range_mistakes(modbus: ModbusTable) -> Iterator[str]:
    """Ranges and barriers that are nowhere."""
    for index, (first, last) in enumerate(modbus.readable):
        if first < modbus.address_base:
            yield f"modbus.readable.{index}: register numbers begin at {modbus.address_base}"
        elif last < first:
            yield f"modbus.readable.{index}: ends at {last}, before it begins at {first}"
    for index, barrier in enumerate(modbus.barriers):
        if barrier < modbus.address_base:
            yield f"modbus.barriers.{index}: register numbers begin at {modbus.address_base}"


def _place_mistakes(
    key: str, first: int, words: int, modbus: ModbusTable, *, size: str = "type"
) -> Iterator[str]:
    wire, last = first - modbus.address_base, first + words - 1
    if wire < 0:
        yield f"{key}.address: register numbers begin at {modbus.address_base}"
    elif wire + words > REGISTERS:
        yield f"{key}.address: {words} registers from {first} end beyond {0xFFFF + modbus.address_base}"
    elif words > modbus.max_span:
        yield f"{key}.{size}: takes {words} registers, max_span is {modbus.max_span}"
    elif torn := [barrier for barrier in modbus.barriers if first < barrier < first + words]:
        yield f"{key}.address: the barrier at {torn[0]} would tear the value"
    elif modbus.readable and not any(low <= first <= last <= high for low, high in modbus.readable):
        yield f"{key}.address: registers {first} to {last} do not lie in one readable range"
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


def _text_mistakes(
    document: Document, modbus: ModbusTable, taken: dict[tuple[int, int], str]
) -> Iterator[str]:
    names = [point.name for point in document.points]
    for index, text in enumerate(document.texts):
        key, registers = f"texts.{index}", range(text.address, text.address + text.words)
        if text.name in names:
            yield f"{key}.name: {text.name!r} is there twice"
        names.append(text.name)
        yield from _place_mistakes(key, text.address, text.words, modbus, size="words")
        # SunSpec's texts are counted from another model.
        if modbus.sunspec_model is None:
            yield from _taken_mistakes(key, text.name, text.function or modbus.function, registers, taken)


def _identity_mistakes(document: Document, modbus: ModbusTable) -> Iterator[str]:
    points, texts = (
        {point.name: point for point in document.points},
        {text.name: text for text in document.texts},
    )
    for index, check in enumerate(document.identity):
        key, window = f"identity.{index}", check.minimum is not None or check.maximum is not None
        if check.point in texts:
            if not check.texts or check.values or window:
                yield f"{key}: a text is checked by texts"
            yield from _never_texts(key, check, texts[check.point])
        elif check.point not in points:
            yield f"{key}.point: there is no point or text {check.point!r}"
        elif check.texts or bool(check.values) == window:
            yield f"{key}: a point is checked either by values or by minimum and maximum"
        elif check.minimum is not None and check.maximum is not None and check.minimum > check.maximum:
            yield f"{key}.minimum: above maximum"
        else:
            yield from _never_values(key, check, points[check.point], modbus)


def _never_texts(key: str, check: IdentityTable, point: TextTable) -> Iterator[str]:
    """Every device begins with an empty text, and none with one that its registers cannot hold."""
    for index, text in enumerate(check.texts):
        if not text:
            yield f"{key}.texts.{index}: is empty, which every device would show"
        elif not text.isascii() or len(text) > 2 * point.words or text != text.lstrip():
            yield f"{key}.texts.{index}: {point.words} registers never show {text!r}"


def _never_values(key: str, check: IdentityTable, point: PointTable, modbus: ModbusTable) -> Iterator[str]:
    """A value that a point cannot show would keep every device out."""
    if point.type is None or {point.times, point.exponent, point.plus} != {None}:
        return
    scale = point.scale if point.sign is Sign.IMPORT else -point.scale
    order = point.word_order or modbus.word_order
    raw = RegisterPoint(point.name, 0, point.type, 3, order, scale, point.sentinel)
    for index, value in enumerate(check.values):
        try:
            shown = decode_words(raw, encode_value(raw, value))
        except ValueError:
            shown = None
        if shown != value:
            yield f"{key}.values.{index}: {point.name} never shows {value:g}"


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

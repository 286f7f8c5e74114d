"""What the tables of an MQTT device's profile must say together."""

from collections.abc import Iterator

from drivers.message_map import MAIN_TOPIC, Acknowledgement, Format
from drivers.mqtt.paths import parse_path
from drivers.profiles.document import Document, PointTable, SetpointTable
from drivers.profiles.message_tables import MqttTable
from drivers.quantity import QUANTITY_BY_NAME, UNIT, Quantity

_WILD = frozenset({"+", "#"})


def message_mistakes(document: Document, mqtt: MqttTable) -> Iterator[str]:
    """Everything that one table cannot know about another; `key: what is wrong`."""
    yield from _topic_mistakes(document, mqtt)
    formats = {MAIN_TOPIC: mqtt.format, **{row.name: row.format for row in mqtt.topics}}
    periodic = {MAIN_TOPIC, *(row.name for row in mqtt.topics if row.period_s is not None)}
    for index, point in enumerate(document.points):
        topic = point.topic or MAIN_TOPIC
        if topic not in formats:
            yield f"points.{index}.topic: there is no topic {topic!r}"
            continue
        yield from _point_mistakes(f"points.{index}", point, formats[topic])
        if point.name == Quantity.POWER and topic not in periodic:
            yield f"points.{index}.topic: the control needs power from a topic with a period_s"
    if document.texts or document.identity or document.vectors:
        yield "texts, identity and vectors: belong to a Modbus device"
    yield from _vector_mistakes(document)
    if document.setpoint is not None:
        yield from _command_mistakes(document.setpoint, document)


def _topic_mistakes(document: Document, mqtt: MqttTable) -> Iterator[str]:
    places = {"mqtt.state_topic": mqtt.state_topic}
    names = [MAIN_TOPIC]
    for index, row in enumerate(mqtt.topics):
        places[f"mqtt.topics.{index}.topic"] = row.topic
        if row.name in names:
            yield f"mqtt.topics.{index}.name: {row.name!r} is there twice"
        names.append(row.name)
    if mqtt.online is not None:
        places["mqtt.online.topic"] = mqtt.online.topic
        if mqtt.online.online == mqtt.online.offline:
            yield "mqtt.online.offline: is the same as online"
    seen: set[str] = set()
    for key, topic in places.items():
        if topic in seen:
            yield f"{key}: {topic!r} is there twice"
        seen.add(topic)
        levels = topic.split("/")
        if any(_WILD & set(level) and level not in _WILD for level in levels) or "#" in levels[:-1]:
            yield f"{key}: + and # stand for a whole level, # for the last"
    used = {point.topic or MAIN_TOPIC for point in document.points}
    for name in names:
        if name not in used:
            yield f"mqtt.topics: {name} has no point"


def _point_mistakes(key: str, point: PointTable, topic_format: Format) -> Iterator[str]:
    registers = (point.address, point.type, point.function, point.word_order, point.sentinel)
    if any(value is not None for value in (*registers, point.times, point.exponent, point.plus)):
        yield f"{key}: a point of an MQTT device has a field, and no address or type"
    if point.slow:
        yield f"{key}.slow: an MQTT device says by itself when it publishes"
    if topic_format is Format.PLAIN:
        if point.field is not None:
            yield f"{key}.field: the whole message is the value"
    elif point.field is None:
        yield f"{key}: a point of an MQTT device has a field, and no address or type"
    else:
        try:
            parse_path(point.field)
        except ValueError as error:
            yield f"{key}.field: {error}"
    if point.words is not None and (point.text or point.scale != 1.0):
        yield f"{key}.words: go with no text and no scale"
    quantity = QUANTITY_BY_NAME.get(point.name)
    if quantity is not None and point.unit not in {"", UNIT[quantity]}:
        yield f"{key}.unit: {point.name} is always in {UNIT[quantity]!r}"


def _vector_mistakes(document: Document) -> Iterator[str]:
    topics = {point.name: point.topic or MAIN_TOPIC for point in document.points}
    for index, vector in enumerate(document.message_vectors):
        key = f"message_vectors.{index}"
        if not vector.values and not vector.absent:
            yield f"{key}: says nothing about any point"
        for name in (*vector.values, *vector.absent):
            if topics.get(name) != vector.topic:
                yield f"{key}: {vector.topic} has no point {name!r}"
        if both := vector.values.keys() & set(vector.absent):
            yield f"{key}.absent: {', '.join(sorted(both))} cannot have a value too"


def _command_mistakes(setpoint: SetpointTable, document: Document) -> Iterator[str]:
    if None in {setpoint.command_topic, setpoint.sleep_payload, setpoint.no_limit_payload}:
        yield "setpoint: needs command_topic, sleep_payload and no_limit_payload"
    if any(value is not None for value in (setpoint.point, setpoint.sleep_value, setpoint.no_limit_value)):
        yield "setpoint: point, sleep_value and no_limit_value belong to a Modbus device"
    if setpoint.payload is None and setpoint.floor_w != setpoint.ceiling_w:
        yield "setpoint.payload: without it the device is on or off, and floor_w is ceiling_w"
    names = {point.name for point in document.points}
    match setpoint.acknowledged_by:
        case Acknowledgement.READ_BACK if Quantity.SETPOINT not in names:
            yield "setpoint.acknowledged_by: there is no point setpoint to read back"
        case Acknowledgement.POWER if Quantity.POWER not in names:
            yield "setpoint.acknowledged_by: there is no point power"
        case _:
            pass
